/* What names documents may have. */
#include "common/document_name.h"

#include <string.h>

bool jm_document_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= 100 && !strchr("._-", name[0]) &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}
