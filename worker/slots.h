/* Free places to run jobs, by class and by type. The store thread takes them; the runner gives them
 * back through atomics, so that the way back costs neither a lock nor a message. */
#ifndef JM_SLOTS_H
#define JM_SLOTS_H

#include "worker/job_type.h"

typedef struct jm_slots jm_slots;

/* process: child processes at once; async: other jobs that wait, at once. */
jm_slots *jm_slots_new(int process, int async);
void jm_slots_free(jm_slots *slots);

/* How many more jobs of this type may start now, at most cap. Store thread. */
int jm_slots_available(jm_slots *slots, jm_job_type *type, int cap);
int jm_slots_left(const jm_slots *slots, jm_slot_class slot_class,
                  int cap); /* of the class alone */
bool jm_slots_half_free(const jm_slots *slots, jm_slot_class slot_class);
void jm_slots_take(jm_slots *slots, jm_job_type *type, int n); /* store thread */
void jm_slots_give(jm_slots *slots, jm_job_type *type, int n); /* any thread */
int jm_slots_used(const jm_slots *slots, jm_slot_class slot_class);

#endif
