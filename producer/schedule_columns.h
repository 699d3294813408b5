/* The columns of table schedules that programs compute with: one table from which rows, JSON
 * documents and parameters of statements are read and written. */
#ifndef JM_SCHEDULE_COLUMNS_H
#define JM_SCHEDULE_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum jm_column_type {
    JM_COLUMN_ID,
    JM_COLUMN_TEXT,
    JM_COLUMN_JSON, /* raw text of an object */
    JM_COLUMN_INT,
    JM_COLUMN_LONG,
    JM_COLUMN_BOOL,
    JM_COLUMN_TIME,  /* microseconds since 1970; 0: null */
    JM_COLUMN_CHOICE /* the value is the number of the text */
} jm_column_type;

typedef struct jm_schedule_column {
    const char *name;
    jm_column_type type;
    size_t offset;              /* in jm_schedule */
    const char *const *choices; /* CHOICE: ends with NULL; a first text "" stands for null */
    bool defined;               /* part of the definition, which documents carry and people edit */
} jm_schedule_column;

/* Ends with a NULL name. The defined ones are in the order of the parameters of
 * schedule_insert.sql and schedule_update.sql. */
extern const jm_schedule_column jm_schedule_column_table[];

/* The number of text in texts; NULL stands for "". -1: not there. */
int jm_choice_find(const char *const texts[], const char *text);

#endif
