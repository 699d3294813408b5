"""When a cron expression is due, found the slow way: every minute of the wall clock is looked at, and
Python's zoneinfo says whether it exists, and how often. Written from docs/scheduling.md, knows nothing
of the C code."""
import datetime as dt
import zoneinfo

UTC = dt.timezone.utc
MINUTE = dt.timedelta(minutes=1)
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
MACROS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
          "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
          "@annually": "0 0 1 1 *"}


def _values(text, low, high, top, names=(), first_name=0):
    def number(word):
        if word.lower() in names:
            return names.index(word.lower()) + first_name
        value = int(word)
        assert low <= value <= high, word
        return value

    found = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, top
        elif "-" in span:
            first, last = (number(word) for word in span.split("-"))
            assert first <= last, part
        else:
            first = number(span)
            last = max(first, top) if step else first
        found.update(range(first, last + 1, int(step or 1)))
    return found


class Cron:
    def __init__(self, text):
        fields = MACROS.get(text, text).split()
        minute, hour, day, month, weekday = fields
        self.minutes = _values(minute, 0, 59, 59)
        self.hours = _values(hour, 0, 23, 23)
        self.days = _values(day, 1, 31, 31)
        self.months = _values(month, 1, 12, 12, MONTHS, 1)
        self.weekdays = {v % 7 for v in _values(weekday, 0, 7, 6, DAYS)}
        self.either = day[0] != "*" and weekday[0] != "*"
        self.fixed = minute[0] != "*" and hour[0] != "*"

    def day_matches(self, day):
        in_days = day.day in self.days
        in_weekdays = day.isoweekday() % 7 in self.weekdays
        both = in_days or in_weekdays if self.either else in_days and in_weekdays
        return day.month in self.months and both

    def local_times(self, start, end):
        """Every matching minute of the wall clock in [start, end)."""
        at = start.replace(second=0, microsecond=0)
        while at < end:
            if not self.day_matches(at.date()):
                at = dt.datetime.combine(at.date() + dt.timedelta(days=1), dt.time())
                continue
            if at >= start and at.hour in self.hours and at.minute in self.minutes:
                yield at
            at += MINUTE


def _occurrences(local, zone):
    """The instants at which the clocks of the zone show that time, in order."""
    found = set()
    for fold in (0, 1):
        instant = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == local:
            found.add(instant)
    return sorted(found)


def _end_of_gap(local, zone):
    """The first instant after the gap in which that time lies."""
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    offset = after.astimezone(zone).utcoffset()
    while after - before > dt.timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle in (before, after):
            break
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def instants(text, zone_name, after, until, gap=None, fold=None):
    """[(instant, note)] in (after, until], both UTC."""
    cron = Cron(text)
    zone = zoneinfo.ZoneInfo(zone_name)
    gap = gap or ("after" if cron.fixed else "skip")
    fold = fold or ("first" if cron.fixed else "both")
    notes = {}
    day = dt.timedelta(days=2)
    for local in cron.local_times((after - day).replace(tzinfo=None),
                                  (until + day).replace(tzinfo=None)):
        found = _occurrences(local, zone)
        if not found:
            if gap == "after":
                notes.setdefault(_end_of_gap(local, zone), set()).add("dst gap")
            continue
        note = {"dst fold"} if len(found) > 1 else set()
        if fold != "both":
            found = found[:1] if fold == "first" else found[-1:]
        for instant in found:
            notes.setdefault(instant, set()).update(note)
    return [(at, ", ".join(sorted(notes[at], reverse=True))) for at in sorted(notes)
            if after < at <= until]
