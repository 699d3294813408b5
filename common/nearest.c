/* The nearest known word: optimal string alignment distance over a short list. */
#include "nearest.h"

#include <ctype.h>
#include <string.h>

enum { WORD_MAX = 63 };

static int min2(int a, int b)
{
    return a < b ? a : b;
}

static int same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Three rows suffice: a swap looks two rows back. */
static int distance(const char *a, int na, const char *b, int nb)
{
    int rows[3][WORD_MAX + 1];
    for (int j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int cost = !same(a[i - 1], b[j - 1]);
            row[j] = min2(min2(up[j] + 1, row[j - 1] + 1), up[j - 1] + cost);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = min2(row[j], up2[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

const char *jm_nearest(const char *word, const char *const *known, size_t n)
{
    size_t len = strnlen(word, WORD_MAX + 1);
    const char *best = NULL;
    int best_distance = 0;
    if (!len || len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t known_len = strnlen(known[i], WORD_MAX + 1);
        if (known_len > WORD_MAX)
            continue;
        int d = distance(word, (int)len, known[i], (int)known_len);
        size_t longer = len > known_len ? len : known_len;
        if ((size_t)d * 3 > longer && d > 1)
            continue;
        if (!best || d < best_distance) {
            best = known[i];
            best_distance = d;
        }
    }
    return best;
}
