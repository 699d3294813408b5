/* Pages for browsers that are in the program. They ask nobody but this server for anything. */
#include "producer/http/pages.h"

#include <string.h>

#include "files/files.h"

static const struct page {
    const char *path;
    const jm_file *file;
    const char *content_type;
} pages[] = {{"/docs", &jm_file_docs_html, "text/html; charset=utf-8"},
             {"/docs/docs.css", &jm_file_docs_css, "text/css; charset=utf-8"},
             {"/docs/docs.js", &jm_file_docs_js, "text/javascript; charset=utf-8"},
             {NULL, NULL, NULL}};

/* Where people look first. */
static const char *const elsewhere[][2] = {{"/", "docs"}, {"/docs/", "../docs"}};

static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-cache"}};

static void lead(jm_http_request *request, const char *to)
{
    jm_buf nothing = {0};
    jm_http_add_header(request, "Location", to);
    jm_http_answer(request, 302, NULL, &nothing);
}

void jm_pages_answer(void *ctx, jm_http_request *request)
{
    const struct page *page = pages;
    jm_buf body = {0};
    (void)ctx;
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        if (!strcmp(jm_http_path(request), elsewhere[i][0])) {
            lead(request, elsewhere[i][1]);
            return;
        }
    }
    while (page->path && strcmp(page->path, jm_http_path(request)) != 0)
        page++;
    if (!page->path)
        return;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        jm_http_add_header(request, headers[i][0], headers[i][1]);
    jm_buf_add(&body, page->file->text, page->file->len);
    jm_http_answer(request, 200, page->content_type, &body);
    jm_buf_fini(&body);
}
