// Our reader of time zones against cctz, over all zones of the system and all their changes from
// 1970 to 2100, by whichever side sees them, and at instants by chance.
#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <string>

extern "C" {
#include "producer/zone.h"
}

namespace
{

namespace fs = std::filesystem;

constexpr int64_t kBegin = 0;
constexpr int64_t kEnd = 4102444800; // 2100
constexpr int kByChance = 50;

using Instant = cctz::time_point<cctz::seconds>;

Instant InstantOf(int64_t t_s)
{
    return Instant(cctz::seconds(t_s));
}

int64_t SecondsOf(Instant t)
{
    return t.time_since_epoch().count();
}

bool IsZoneFile(const fs::path &path)
{
    char magic[4] = "";
    FILE *file = fopen(path.c_str(), "rb");
    bool is = file && fread(magic, 1, 4, file) == 4 && !memcmp(magic, "TZif", 4);
    if (file)
        fclose(file);
    return is;
}

// "right" counts leap seconds and "posix" is the same once more.
std::set<std::string> AllZones(const fs::path &dir)
{
    std::set<std::string> names;
    for (auto it = fs::recursive_directory_iterator(dir); it != fs::recursive_directory_iterator();
         ++it) {
        const std::string name = fs::relative(it->path(), dir);
        if (name == "right" || name == "posix")
            it.disable_recursion_pending();
        else if (fs::is_regular_file(it->path()) && IsZoneFile(it->path()) && name != "localtime")
            names.insert(name);
    }
    return names;
}

void AddOurChanges(const jm_zone *zone, std::set<int64_t> *changes)
{
    for (int64_t t = kBegin; t < kEnd;) {
        t = jm_zone_find(zone, t).end_s;
        if (t < kEnd)
            changes->insert(t);
    }
}

void AddTheirChanges(const cctz::time_zone &zone, std::set<int64_t> *changes)
{
    cctz::time_zone::civil_transition change;
    for (Instant t = InstantOf(kBegin); zone.next_transition(t, &change);) {
        t = zone.lookup(std::min(change.from, change.to)).trans;
        if (SecondsOf(t) >= kEnd)
            break;
        changes->insert(SecondsOf(t));
    }
}

// What is searched in recurrences looks at neighbours only: no change may reach past one.
bool ReachesTooFar(const jm_zone *zone)
{
    for (jm_zone_span span = jm_zone_find(zone, INT64_MIN); span.end_s < kEnd;) {
        const jm_zone_span next = jm_zone_find(zone, span.end_s);
        if (next.end_s < kEnd &&
            next.end_s - next.start_s <= std::abs(next.offset_s - span.offset_s))
            return true;
        span = next;
    }
    return false;
}

class Comparison
{
  public:
    void At(const std::string &name, const jm_zone *ours, const cctz::time_zone &theirs,
            int64_t t_s)
    {
        const int32_t offset = jm_zone_find(ours, t_s).offset_s;
        const int expected = theirs.lookup(InstantOf(t_s)).offset;
        compared_++;
        if (offset != expected && wrong_++ < 20)
            printf("%s at %" PRId64 ": %d, cctz says %d\n", name.c_str(), t_s, offset, expected);
    }

    void Zone(const std::string &name, jm_zone_cache *cache)
    {
        const jm_zone *ours = nullptr;
        cctz::time_zone theirs;
        jm_err err = {};
        if (jm_zone_cache_get(cache, name.c_str(), &ours, &err)) {
            Fail(name, err.msg);
            return;
        }
        if (!cctz::load_time_zone(name, &theirs)) {
            Fail(name, "cctz does not read it");
            return;
        }
        std::set<int64_t> changes;
        AddOurChanges(ours, &changes);
        AddTheirChanges(theirs, &changes);
        for (int64_t t : changes)
            for (int64_t i = -1; i <= 1; i++)
                At(name, ours, theirs, t + i);
        std::uniform_int_distribution<int64_t> chance(kBegin, kEnd);
        for (int i = 0; i < kByChance; i++)
            At(name, ours, theirs, chance(random_));
        if (ReachesTooFar(ours))
            Fail(name, "a change reaches past its neighbour");
        changes_ += changes.size();
    }

    void Fail(const std::string &name, const std::string &what)
    {
        wrong_++;
        printf("%s: %s\n", name.c_str(), what.c_str());
    }

    bool Verdict(size_t n_zones) const
    {
        printf("%zu zones, %zu changes, %zu offsets compared, %zu wrong\n", n_zones, changes_,
               compared_, wrong_);
        return !wrong_ && n_zones > 400 && changes_ > 10 * n_zones;
    }

  private:
    std::mt19937_64 random_{42};
    size_t compared_ = 0, changes_ = 0, wrong_ = 0;
};

} // namespace

int main()
{
    const char *dir = getenv("TZDIR");
    const std::string zoneinfo = dir ? dir : "/usr/share/zoneinfo";
    jm_zone_cache *cache = jm_zone_cache_new(zoneinfo.c_str());
    const std::set<std::string> names = AllZones(zoneinfo);
    Comparison comparison;
    for (const std::string &name : names)
        comparison.Zone(name, cache);
    jm_zone_cache_free(cache);
    return comparison.Verdict(names.size()) ? EXIT_SUCCESS : EXIT_FAILURE;
}
