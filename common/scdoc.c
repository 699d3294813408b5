/* Text in sources of man pages, as scdoc(5) reads them. */
#include "common/scdoc.h"

#include <string.h>

void jm_scdoc_text(FILE *to, const char *indent, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') {
            if (text[1])
                fprintf(to, "\n\n%s", indent);
        } else {
            if (strchr("\\*_#`|[]-+.<&;:!(", *text)) /* some only where a line begins */
                fputc('\\', to);
            fputc(*text, to);
        }
    }
}
