/* What a child says while it has a job. */
#include "exec_output.h"

#include "worker/exec.h"
#include "worker/handler_protocol.h"
#include "worker/text.h"

enum { STDERR_LINE_MAX = 8192, ERROR_LINE_MAX = 300 };

bool jm_exec_is_blank(const char *line, size_t len)
{
    size_t i = 0;
    while (i < len && (line[i] == ' ' || line[i] == '\t'))
        i++;
    return i == len;
}

static void keep_line(jm_buf *last, const char *line, size_t len)
{
    if (jm_exec_is_blank(line, len))
        return;
    jm_buf_clear(last);
    jm_buf_add(last, line, len);
}

static void on_out_line(void *ctx, const char *line, size_t len, bool cut)
{
    jm_exec_output *output = ctx;
    if (cut)
        jm_buf_clear(&output->last_out);
    else
        keep_line(&output->last_out, line, len);
}

static void on_err_line(void *ctx, const char *line, size_t len, bool cut)
{
    jm_exec_output *output = ctx;
    (void)cut;
    if (jm_exec_is_blank(line, len))
        return;
    keep_line(&output->last_err, line, len);
    if (output->run)
        jm_step_log(output->run, JM_INFO, line, len, NULL);
}

void jm_exec_output_init(jm_exec_output *output, size_t cap_bytes)
{
    *output =
        (jm_exec_output){.out = {.cap = cap_bytes},
                         .err = {.cap = cap_bytes},
                         .out_lines = {.max = JM_EXEC_LINE_MAX, .fn = on_out_line, .ctx = output},
                         .err_lines = {.max = STDERR_LINE_MAX, .fn = on_err_line, .ctx = output}};
}

void jm_exec_output_fini(jm_exec_output *output)
{
    jm_capture_fini(&output->out);
    jm_capture_fini(&output->err);
    jm_lines_fini(&output->out_lines);
    jm_lines_fini(&output->err_lines);
    jm_buf_fini(&output->result);
    jm_buf_fini(&output->last_out);
    jm_buf_fini(&output->last_err);
    jm_buf_fini(&output->out_rest);
    jm_buf_fini(&output->err_rest);
    jm_mask_fini(&output->mask);
}

void jm_exec_output_begin(jm_exec_output *output, jm_step_run *run)
{
    output->run = run;
    jm_step_mask(run, &output->mask);
    jm_buf_clear(&output->result);
    jm_buf_clear(&output->last_out);
    jm_buf_clear(&output->last_err);
}

static void take(jm_capture *capture, jm_lines *lines, const char *bytes, size_t len)
{
    if (capture->cap)
        jm_capture_add(capture, bytes, len);
    jm_lines_add(lines, bytes, len);
}

/* Secrets go before anything is cut, so that no half of one is left. */
static void take_masked(const jm_exec_output *output, jm_buf *rest, jm_capture *capture,
                        jm_lines *lines, const char *bytes, size_t len, bool last)
{
    if (!output->mask.n) {
        take(capture, lines, bytes, len);
        return;
    }
    jm_buf masked = {0};
    jm_mask_stream(&output->mask, rest, bytes, len, last, &masked);
    take(capture, lines, jm_buf_str(&masked), masked.len);
    jm_buf_fini(&masked);
}

static void take_stdout(jm_exec_output *output, const char *bytes, size_t len, bool last)
{
    take_masked(output, &output->out_rest, &output->out, &output->out_lines, bytes, len, last);
}

static void take_stderr(jm_exec_output *output, const char *bytes, size_t len, bool last)
{
    take_masked(output, &output->err_rest, &output->err, &output->err_lines, bytes, len, last);
}

void jm_exec_output_stdout(jm_exec_output *output, const char *bytes, size_t len)
{
    take_stdout(output, bytes, len, false);
}

void jm_exec_output_stderr(jm_exec_output *output, const char *bytes, size_t len)
{
    take_stderr(output, bytes, len, false);
}

void jm_exec_output_result(jm_exec_output *output, jm_raw result)
{
    jm_buf_clear(&output->result);
    jm_buf_add(&output->result, result.p, result.len);
}

static void put_output(jm_exec_output *output, int return_code)
{
    jm_buf out = {0}, err = {0};
    if (output->out.total)
        jm_capture_text(&output->out, &out);
    if (output->err.total)
        jm_capture_text(&output->err, &err);
    jm_step_output kept = {.out_text = out.data, .err_text = err.data, .return_code = return_code};
    jm_step_put_output(output->run, &kept);
    jm_buf_fini(&out);
    jm_buf_fini(&err);
    jm_capture_clear(&output->out);
    jm_capture_clear(&output->err);
}

/* The result on descriptor 3, or the last line of stdout if that is an object. */
static const jm_buf *data_of(const jm_exec_output *output)
{
    static const jm_buf none;
    if (output->result.len)
        return &output->result;
    if (output->last_out.len && jm_handler_is_object(output->last_out.data, output->last_out.len))
        return &output->last_out;
    return &none;
}

void jm_exec_output_finish(jm_exec_output *output, jm_verdict verdict, int return_code,
                           jm_buf *error)
{
    jm_step_run *run = output->run;
    take_stdout(output, "", 0, true);
    take_stderr(output, "", 0, true);
    jm_lines_end(&output->out_lines);
    jm_lines_end(&output->err_lines);
    put_output(output, return_code);
    const jm_buf *data = data_of(output);
    if (error && output->last_err.len) {
        jm_buf_adds(error, ": ");
        jm_text_clean(error, output->last_err.data,
                      jm_text_cut(output->last_err.data, output->last_err.len, ERROR_LINE_MAX));
    }
    output->run = NULL;
    /* The data is copied before anything else happens, which may begin the next job here. */
    jm_step_end(run, verdict, data->len ? data->data : NULL, data->len,
                error ? jm_buf_str(error) : NULL);
}
