"""mosquitto_pub, mosquitto_sub and mosquitto_rr against a broker: MQTT 3.1, 3.1.1 and 5.0, over TCP, TLS or TLS-PSK."""
import subprocess
import sys
import time

from children import Child
from scenarios import Failed, check, equal, main, scenario

NAMES = {3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}


def target(context, name=None):
    given = context.options
    found = ["-h", given.host, "-p", str(given.port), "-V", NAMES[context.version]]
    for option, value in (
        ("-u", given.user), ("-P", given.password), ("--cafile", given.ca), ("--cert", given.certificate),
        ("--key", given.key), ("--psk", given.psk), ("--psk-identity", given.psk_identity),
        ("-i", name and context.id(name)),
    ):
        found += [option, value] if value else []
    return found


def run(context, program, *arguments, name=None, text=None):
    command = [program, *target(context, name), *arguments]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=context.timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{program} did not end within {context.timeout} s") from None
    return done


def publish(context, *arguments, name=None, text=None):
    done = run(context, "mosquitto_pub", *arguments, name=name, text=text)
    check(done.returncode == 0, f"mosquitto_pub: {done.returncode} {done.stderr}")


def subscriber(context, *arguments, name=None):
    """Running and subscribed; its lines are QoS, retain flag, payload and topic."""
    child = Child(
        context, ["stdbuf", "-oL", "mosquitto_sub", *target(context, name), "-d", "-F", "= %q %r %p %t", *arguments]
    )
    child.line("Subscribed (mid")
    return child


def expect(child, *messages):
    for message in messages:
        line = child.line("= ")
        equal(line[2:].rsplit(" ", 1)[0], message, f"message of {line.rsplit(' ', 1)[1]}")


@scenario("mosquitto_pub and mosquitto_sub at each QoS", 3, 4, 5)
def each(context):
    child = subscriber(context, "-q", "2", "-t", context.topic("#"))
    for qos in "012":
        publish(context, "-q", qos, "-t", context.topic("a"), "-m", f"x{qos}")
        expect(child, f"{qos} 0 x{qos}")


@scenario("mosquitto_pub -l: 500 lines in order", 4, 5)
def lines(context):
    child = subscriber(context, "-q", "1", "-t", context.topic("a"))
    publish(context, "-q", "1", "-t", context.topic("a"), "-l", text="".join(f"{index}\n" for index in range(500)))
    expect(child, *(f"1 0 {index}" for index in range(500)))


@scenario("mosquitto_sub -c: a session with queued messages", 3, 4, 5)
def session(context):
    more = ["-q", "1", "-t", context.topic("a"), "-c"] + (["-x", "300"] if context.version == 5 else [])
    done = run(context, "mosquitto_sub", *more, "-E", name="sub")
    equal(done.returncode, 0, f"mosquitto_sub -E {done.stderr}")
    for index in range(5):
        publish(context, "-q", "1", "-t", context.topic("a"), "-m", str(index))
    done = run(context, "mosquitto_sub", *more, "-C", "5", "-W", "10", name="sub")
    equal(done.stdout.split(), ["0", "1", "2", "3", "4"], f"queued messages {done.stderr}")


@scenario("retained messages: mosquitto_pub -r, -n, mosquitto_sub --retained-only, --remove-retained", 4, 5)
def retained(context):
    for name in ("a", "b"):
        publish(context, "-q", "1", "-r", "-t", context.topic(name), "-m", name)
    done = run(context, "mosquitto_sub", "--retained-only", "-t", context.topic("#"), "-C", "2", "-W", "10")
    equal(sorted(done.stdout.split()), ["a", "b"], "retained")
    publish(context, "-q", "1", "-r", "-n", "-t", context.topic("a"))
    child = subscriber(context, "-t", context.topic("#"))
    expect(child, "0 1 b")
    cleaner = Child(context, ["mosquitto_sub", *target(context), "--remove-retained", "-t", context.topic("b")])
    expect(child, "0 0 ")
    cleaner.kill()
    child = subscriber(context, "-t", context.topic("#"))
    publish(context, "-q", "1", "-t", context.topic("end"), "-m", "end")
    expect(child, "0 0 end")


@scenario("a will of mosquitto_sub that is killed", 4, 5)
def will(context):
    watcher = subscriber(context, "-q", "1", "-t", context.topic("will"))
    options = ["--will-topic", context.topic("will"), "--will-payload", "gone", "--will-qos", "1"]
    leaving = subscriber(context, "-t", context.topic("a"), *options)
    leaving.kill()
    expect(watcher, "1 0 gone")


@scenario("mosquitto_rr: request and response", 5)
def request(context):
    answering = subscriber(context, "-t", context.topic("request"), "-F", "= %R %D %p")
    asking = Child(
        context,
        ["stdbuf", "-oL", "mosquitto_rr", *target(context), "-t", context.topic("request"), "-e",
         context.topic("answer"), "-m", "question", "-D", "publish", "correlation-data", "abc", "-W", "10"],
    )
    topic, data, payload = answering.line("= ")[2:].split()
    equal((topic, data, payload), (context.topic("answer"), "abc", "question"), "request")
    publish(context, "-t", topic, "-m", "answer", "-D", "publish", "correlation-data", data)
    asking.line("answer")


@scenario("mosquitto's clients carry properties", 5)
def properties(context):
    child = subscriber(context, "-q", "1", "-t", context.topic("a"), "-F", "= %C %P %p")
    publish(
        context, "-q", "1", "-t", context.topic("a"), "-m", "x", "-D", "publish", "content-type", "text/plain",
        "-D", "publish", "user-property", "b", "2", "-D", "publish", "user-property", "a", "1",
    )
    equal(child.line("= "), "= text/plain b:2 a:1 x", "message")


@scenario("mosquitto_sub in a shared subscription", 5)
def shared(context):
    members = [subscriber(context, "-q", "1", "-t", f"$share/{context.unique}/{context.topic('a')}") for _ in range(2)]
    publish(context, "-q", "1", "-t", context.topic("a"), "-l", text="".join(f"{index}\n" for index in range(40)))
    deadline = time.monotonic() + context.timeout
    got = []
    while len(got) < 40 and time.monotonic() < deadline:
        got = sum(([line for line in member.lines() if line.startswith("= ")] for member in members), [])
        time.sleep(0.01)
    equal(sorted(int(line.split()[3]) for line in got), list(range(40)), "shared messages")


@scenario("mosquitto_sub tells of a refused filter, mosquitto_pub of a refused topic", 4, 5, needs="denied")
def denied(context):
    done = run(context, "mosquitto_sub", "-q", "1", "-t", context.options.denied, "-W", "5")
    check("denied" in done.stdout + done.stderr, f"mosquitto_sub: {done.returncode} {done.stdout} {done.stderr}")
    if context.version == 5:
        done = run(context, "mosquitto_pub", "-q", "1", "-t", context.options.denied, "-m", "x")
        check("Not authorized" in done.stderr, f"mosquitto_pub: {done.returncode} {done.stderr}")


if __name__ == "__main__":
    sys.exit(main(__doc__))
