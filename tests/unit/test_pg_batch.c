/* Parameters in PostgreSQL's binary formats, byte for byte as its documentation and sources have
 * them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pg_batch.h"

/* Compares an argument with bytes written in hex. */
static void expect(const jm_pg_args *args, int i, uint32_t type, const char *hex)
{
    char text[400] = "";
    for (int k = 0; k < args->lengths[i]; k++)
        snprintf(text + 2 * k, sizeof text - 2 * (size_t)k, "%02x",
                 (unsigned char)args->values[i][k]);
    ck_assert_uint_eq(args->types[i], type);
    ck_assert_int_eq(args->formats[i], 1);
    ck_assert_str_eq(text, hex);
}

START_TEST(scalars)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i32(&args, -2);
    jm_pg_arg_i64(&args, 258);
    jm_pg_arg_bool(&args, true);
    jm_pg_arg_ts(&args, INT64_C(946684800000001)); /* a microsecond after 2000 began */
    jm_pg_arg_ts(&args, 0);
    jm_pg_arg_uuid(&args, NULL);
    expect(&args, 0, 23, "fffffffe");
    expect(&args, 1, 20, "0000000000000102");
    expect(&args, 2, 16, "01");
    expect(&args, 3, 1184, "0000000000000001");
    ck_assert_ptr_null(args.values[4]);
    ck_assert_ptr_null(args.values[5]);
}
END_TEST

/* Header of an array: dimensions, has null, element type, length, lower bound. */
#define HEAD(has_null, elem, n) "00000001" has_null elem n "00000001"

START_TEST(arrays)
{
    static const jm_col_type types[] = {JM_COL_I32, JM_COL_TEXT, JM_COL_JSONB, JM_COL_UUID,
                                        JM_COL_I16};
    jm_cols cols;
    jm_cols_init(&cols, types, JM_COUNT(types));
    jm_col_add_i32(&cols.col[0], 5);
    jm_col_add_str(&cols.col[1], "ab");
    jm_col_add_null(&cols.col[1]);
    jm_col_add_str(&cols.col[1], "");
    jm_col_add_str(&cols.col[2], "{}");
    jm_uuid id = {{1, 2, 3}};
    jm_col_add_uuid(&cols.col[3], &id);
    jm_col_add_i32(&cols.col[4], -1);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_cols(&args, &cols);
    ck_assert_int_eq(args.n, 5);
    expect(&args, 0, 1007, HEAD("00000000", "00000017", "00000001") "0000000400000005");
    expect(&args, 1, 1009,
           HEAD("00000001", "00000019", "00000003") "000000026162"
                                                    "ffffffff"
                                                    "00000000");
    expect(&args, 2, 3807, HEAD("00000000", "00000eda", "00000001") "00000003017b7d");
    expect(&args, 3, 2951,
           HEAD("00000000", "00000b86", "00000001") "0000001001020300000000000000000000000000");
    expect(&args, 4, 1005, HEAD("00000000", "00000015", "00000001") "00000002ffff");
    jm_cols_fini(&cols);
}
END_TEST

START_TEST(reset_empties)
{
    jm_col col;
    jm_col_init(&col, JM_COL_TEXT);
    jm_col_add_null(&col);
    jm_col_reset(&col);
    jm_col_add_str(&col, "x");
    ck_assert_int_eq(col.n, 1);
    ck_assert(!col.has_null);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &col);
    expect(&args, 0, 1009, HEAD("00000000", "00000019", "00000001") "0000000178");
    jm_col_fini(&col);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_batch");
    TCase *tc = tcase_create("pg_batch");
    tcase_add_test(tc, scalars);
    tcase_add_test(tc, arrays);
    tcase_add_test(tc, reset_empties);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
