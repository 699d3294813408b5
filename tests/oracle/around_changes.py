"""Expressions drawn by chance, in zones drawn by chance, for three days around each change of the clocks
in ten years, under every rule for gaps and folds: the programs' arithmetic against cron_oracle."""
import datetime as dt
import random
import subprocess
import zoneinfo

import cron_oracle
from lib.paths import bin_dir

UTC = dt.timezone.utc
YEARS = 10
GAPS = [None, "after", "skip"]
FOLDS = [None, "first", "second", "both"]
# Those whose clocks do what others do not: half hours, whole days, midnights, Ramadan, two hours.
RARE = ("Australia/Lord_Howe Pacific/Apia America/Sao_Paulo Asia/Beirut Asia/Gaza Africa/Casablanca "
        "Antarctica/Troll America/Caracas Asia/Pyongyang America/Nuuk Europe/Dublin Africa/Cairo "
        "America/Havana Asia/Tehran Pacific/Kwajalein Asia/Amman America/Santiago "
        "Europe/Volgograd Pacific/Fakaofo Antarctica/Casey America/Scoresbysund").split()


class Server:
    """The program that answers from producer/recurrence.c; tests/oracle/recurrence_server.c."""

    def __init__(self):
        self.process = subprocess.Popen([bin_dir() / "recurrence_server"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(30) == 0

    def ask(self, text, zone, gap, fold, after, until):
        self.process.stdin.write(f"{text}\t{zone}\t{gap or '-'}\t{fold or '-'}\t{after}\t{until}\n")
        return self.process.stdout.readline().rstrip("\n")


# Expressions

def _join(rng, low, high, draw):
    return ",".join(draw() for _ in range(rng.randint(low, high)))


def plain_field(rng, low, high, names=()):
    def value():
        n = rng.randint(low, high)
        return names[n - low] if names and n - low < len(names) and rng.random() < 0.4 else str(n)

    def item():
        first = rng.randint(low, high)
        last = rng.randint(first, high)
        return rng.choice([value, value, value, lambda: f"{first}-{last}",
                           lambda: f"{first}-{last}/{rng.randint(1, 9)}",
                           lambda: f"{first}/{rng.randint(1, high)}"])()
    kind = rng.randrange(8)
    if kind < 2:
        return "*"
    if kind == 2:
        return f"*/{rng.randint(1, high)}"
    return _join(rng, 1, 1 if kind < 6 else 4, item)


def day_field(rng):
    def item():
        return rng.choice([lambda: "L", lambda: f"L-{rng.randint(0, 30)}", lambda: "LW",
                           lambda: f"{rng.randint(1, 31)}W", lambda: str(rng.randint(1, 31))])()
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice("*?")
    return _join(rng, 1, 3, item) if kind < 6 else plain_field(rng, 1, 31)


def weekday_field(rng):
    def weekday():
        return rng.choice([str(rng.randint(0, 7)), rng.choice(cron_oracle.DAYS)])

    def item():
        return rng.choice([lambda: "L", lambda: weekday() + "L", weekday,
                           lambda: f"{weekday()}#{rng.randint(1, 5)}"])()
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice("*?")
    return _join(rng, 1, 3, item) if kind < 6 else plain_field(rng, 0, 7, cron_oracle.DAYS)


def expression(rng):
    """Most of them with times that clocks are changed at."""
    hour = rng.choice(["*", "0-4", "2", "1,2,3", "0", "23", plain_field(rng, 0, 23),
                       plain_field(rng, 0, 23)])
    fields = [plain_field(rng, 0, 59), hour, day_field(rng),
              rng.choice(["*", "*", "*", plain_field(rng, 1, 12, cron_oracle.MONTHS)]),
              weekday_field(rng)]
    if rng.random() < 0.15:
        fields.insert(0, rng.choice(["0", "30", "15,45", "0-59/20", str(rng.randint(0, 59))]))
    text = " ".join(fields)
    return text.upper() if rng.random() < 0.1 else text


# Places

def changes(zone_name, first_year):
    """The instants at which the offset changes in ten years, or one instant where it does not."""
    zone = zoneinfo.ZoneInfo(zone_name)
    found = []
    at = dt.datetime(first_year, 1, 1, tzinfo=UTC)
    while at.year < first_year + YEARS:
        then = at + dt.timedelta(days=1)
        if at.astimezone(zone).utcoffset() != then.astimezone(zone).utcoffset():
            low, high = at, then
            while high - low > dt.timedelta(minutes=1):
                middle = low + (high - low) / 2
                middle = middle.replace(second=0, microsecond=0)
                if middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high)
        at = then
    return found or [dt.datetime(first_year + YEARS // 2, 3, 1, tzinfo=UTC)]


def places(rng, count):
    """[(zone, [window])], half of them rare ones."""
    names = sorted(zoneinfo.available_timezones() - {"Factory", "localtime", "posixrules"})
    found = []
    for i in range(count):
        zone = rng.choice(RARE if i % 2 else names)
        at = changes(zone, rng.choice([1976, 1986, 1996, 2006, 2010, 2016, 2026, 2040, 2090]))
        half = dt.timedelta(hours=36)
        found.append((zone, [cron_oracle.Window(zone, t - half, t + half) for t in at]))
    return found


# The comparison

def compare(server, text, cron, zone, window):
    matches = window.matches(cron)
    for gap in GAPS:
        for fold in FOLDS:
            instants = window.instants(cron, matches, gap, fold)
            expected = "".join(["ok", *(f" {at}{note}" for at, note in instants.items())])
            got = server.ask(text, zone, gap, fold, window.after, window.until)
            assert got == expected, (f"{text!r} in {zone} from {window.after} to {window.until}, "
                                     f"gap={gap} fold={fold}")


def run(seed, expressions, places_count):
    """Each expression in three places; returns how many windows were compared."""
    rng = random.Random(seed)
    compared = 0
    chosen = places(rng, places_count)
    with Server() as server:
        for _ in range(expressions):
            text = expression(rng)
            cron = cron_oracle.Cron(text)
            for zone, windows in rng.sample(chosen, 3):
                first = server.ask(text, zone, None, None, 0, 0)
                if "no such day" in first:
                    assert not cron.is_possible(), text
                    break
                assert first == "ok", f"{text!r}: {first}"
                for window in windows:
                    compare(server, text, cron, zone, window)
                    compared += 1
    return compared
