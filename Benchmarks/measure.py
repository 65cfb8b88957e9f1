"""What /proc knows of processes: CPU time, memory, wake-ups. All of it summed over threads and children."""
import os

TICK = os.sysconf("SC_CLK_TCK")


def tree(pid):
    """`pid` and all its descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as f:
                    found += [int(child) for child in f.read().split()]
        except FileNotFoundError:
            pass
    return found


def cpu_ticks(pid):
    """(user, system) seconds of a process, ended threads included; in steps of 1/TICK."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICK, int(fields[12]) / TICK


def per_task(pid, file_name, read):
    values = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/{file_name}", encoding="utf-8") as f:
                values[task] = read(f)
        except FileNotFoundError:
            pass
    return values


def cpu_tasks(pid):
    """{thread: seconds on a CPU}, in nanosecond steps."""
    return per_task(pid, "schedstat", lambda f: int(f.read().split()[0]) / 1e9)


def cpu_snapshot(pids):
    return {pid: (cpu_ticks(pid), cpu_tasks(pid)) for pid in pids}


def cpu_used(before, after):
    """CPU seconds (total, user, system) between two snapshots. The total is the fine one where no thread came or went."""
    total = user = system = 0.0
    for pid, (ticks, tasks) in after.items():
        ticks0, tasks0 = before[pid]
        user += ticks[0] - ticks0[0]
        system += ticks[1] - ticks0[1]
        same_threads = tasks.keys() == tasks0.keys()
        total += sum(tasks.values()) - sum(tasks0.values()) if same_threads else sum(ticks) - sum(ticks0)
    return total, user, system


def field(lines, name):
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def memory(pids, name):
    """Kilobytes: VmRSS (now) or VmHWM (peak since reset_peak)."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            total += field(f, name)
    return total


def bytes_written(pids):
    """Bytes that were handed to the disk (not on tmpfs, which has none)."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/io", encoding="ascii") as f:
            total += field(f, "write_bytes")
    return total


def reset_peak(pids):
    for pid in pids:
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
            f.write("5")


def wake_ups(pids):
    """How often each thread went to sleep by itself: as often it woke up."""
    read = [per_task(pid, "status", lambda f: field(f, "voluntary_ctxt_switches")) for pid in pids]
    return {task: count for tasks in read for task, count in tasks.items()}


def wake_ups_since(before, after):
    """Wake-ups between two readings; of a thread that ended in between nothing is known, and nothing counted."""
    return sum(count - before.get(task, 0) for task, count in after.items())
