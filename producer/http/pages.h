/* Pages for browsers that are in the program: the API's description, to be read and tried. */
#ifndef JM_HTTP_PAGES_H
#define JM_HTTP_PAGES_H

#include "common/httpd.h"

/* Of paths that need no key: answers with the file of the request's path. */
void jm_pages_answer(void *ctx, jm_http_request *request);

#endif
