/* Text in sources of man pages, as scdoc(5) reads them. */
#ifndef JM_SCDOC_H
#define JM_SCDOC_H

#include <stdio.h>

/* Prints text so that nothing in it is markup. A line break begins a paragraph, behind indent
 * (tabs); the text ends without one. */
void jm_scdoc_text(FILE *to, const char *indent, const char *text);

#endif
