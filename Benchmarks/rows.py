"""Rows of results: progress while they are made, medians, tables."""
import statistics
import sys


def note(text):
    print(text, file=sys.stderr, flush=True)


def median(values, digits):
    return round(statistics.median(values), digits) if values else None


def summary(sut, scenario, case, runs, rss_idle, rss_peak, raw):
    def typical(get, digits):
        return median([get(r) for r in runs if get(r) is not None], digits)

    row = {"scenario": scenario, "case": case, "sut": sut.name}
    for key, digits in (("cpu_us", 2), ("user_us", 2), ("sys_us", 2), ("upstream_cpu_us", 2),
                        ("ack_rate", 0), ("e2e_rate", 0)):
        if any(key in r for r in runs):
            row[key] = typical(lambda r, key=key: r.get(key), digits)
    row["cpu_us_range"] = [round(pick(r["cpu_us"] for r in runs), 2) for pick in (min, max)]
    for kind in ("lat_ms", "ack_ms"):
        if any(kind in r for r in runs):
            row[kind] = {q: typical(lambda r, q=q, kind=kind: r.get(kind, {}).get(q), 3) for q in ("p50", "p99", "p99.9")}
    for key in ("sent", "acked", "delivered", "lost", "duplicates", "out_of_order"):
        row[key] = sum(r[key] for r in runs)
    row.update(rss_idle_kb=rss_idle, rss_peak_kb=rss_peak, reps=len(runs))
    if raw:
        row["runs"] = runs
    return row


def progress(scenario, case, sut, rep, r):
    note(f"{scenario} {case} {sut.name} {rep}: {r['cpu_us']:.2f} us, {r['e2e_rate']}/s, lost {r['lost']}")


COLUMNS = ["scenario", "case", "sut", "cpu_us", "cpu_us_range", "granted_qos", "e2e_rate", "ack_rate", "rate", "lat_ms", "acked", "answered",
           "failures", "retransmissions", "lost",
           "duplicates", "drain_s", "drain_rate", "live_rate", "first_live_s", "live_lat_ms", "bytes_per_message", "rss_idle_kb", "rss_full_kb", "rss_peak_kb", "rss_1000_kb",
           "rss_10000_kb", "rss_tenth_kb", "rss_all_kb", "kb_each", "open_cpu_us", "crowd_cpu_us", "kb_a_connection", "openssl_kb", "back_s",
           "pause_ms", "calm_ms", "late_ms", "wakeups_per_s"]


def print_table(rows):
    """Markdown: a table for each scenario, without the columns that it does not have."""
    def cell(value):
        if isinstance(value, dict):
            return "/".join(map(str, value.values()))
        if isinstance(value, list):
            return "..".join(map(str, value))
        return "" if value is None else str(value)

    for scenario in dict.fromkeys(r["scenario"] for r in rows):
        mine = [r for r in rows if r["scenario"] == scenario]
        keys = [k for k in COLUMNS if any(k in r for r in mine)]
        print("\n| " + " | ".join(keys) + " |\n|" + " --- |" * len(keys))
        for r in mine:
            print("| " + " | ".join(cell(r.get(k)) for k in keys) + " |")
