/* Free places to run jobs, by class and by type. */
#include "worker/slots.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/mem.h"

struct jm_slots {
    int limit[3];
    _Atomic int used[3];
};

jm_slots *jm_slots_new(int process, int async)
{
    jm_slots *slots = jm_calloc(1, sizeof *slots);
    slots->limit[JM_SLOT_NONE] = INT_MAX;
    slots->limit[JM_SLOT_PROCESS] = process;
    slots->limit[JM_SLOT_ASYNC] = async;
    return slots;
}

void jm_slots_free(jm_slots *slots)
{
    free(slots);
}

int jm_slots_left(const jm_slots *slots, jm_slot_class slot_class, int cap)
{
    int left = slots->limit[slot_class] -
               atomic_load_explicit(&slots->used[slot_class], memory_order_acquire);
    return left < 0 ? 0 : left < cap ? left : cap;
}

bool jm_slots_half_free(const jm_slots *slots, jm_slot_class slot_class)
{
    return atomic_load_explicit(&slots->used[slot_class], memory_order_acquire) <=
           slots->limit[slot_class] / 2;
}

int jm_slots_available(jm_slots *slots, jm_job_type *type, int cap)
{
    int left = jm_slots_left(slots, type->slot_class, cap);
    if (type->concurrency) {
        int of_type =
            type->concurrency - atomic_load_explicit(&type->slots_used, memory_order_acquire);
        left = of_type < left ? of_type : left;
    }
    if (left < 0)
        return 0;
    return left < cap ? left : cap;
}

void jm_slots_take(jm_slots *slots, jm_job_type *type, int n)
{
    atomic_fetch_add(&slots->used[type->slot_class], n);
    atomic_fetch_add(&type->slots_used, n);
}

void jm_slots_give(jm_slots *slots, jm_job_type *type, int n)
{
    atomic_fetch_sub(&slots->used[type->slot_class], n);
    atomic_fetch_sub(&type->slots_used, n);
}

int jm_slots_used(const jm_slots *slots, jm_slot_class slot_class)
{
    return atomic_load(&slots->used[slot_class]);
}
