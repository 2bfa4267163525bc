/* Requests: callers in the processor publish, the worker's native loop takes,
 * answers and sleeps on its eventfd. See docs/verification.md. */
#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef EACH
#define EACH 1          /* events of each caller */
#endif
#ifndef RING
#define RING 2          /* entries, and slots */
#endif
#define TOTAL (CALLERS * EACH)

#define SLEEP 0
#define STOP 1
#define LOCK 2
#define SEQ(i) (3 + (i) % RING)
#define DATA(i) (3 + RING + (i) % RING)
#define RINGING (3 + 2 * RING)
#define UNRUNG (4 + 2 * RING)
#define WORDS (5 + 2 * RING)
#define WORKER CALLERS
#define CLOSER (CALLERS + 1)
#define BUFFERS (CALLERS + 2)
#include "tso.h"

byte bell;              /* the eventfd: a counter */
byte free = RING;       /* slots; a caller holds one before it may publish */
byte pos;               /* ring.pos, guarded by the mutex */
byte taken;             /* requests that the worker took */
byte finished;          /* callers that are done */

/* Instance.Flush: rings for all that was submitted, whoever did */
#if defined(SUBMITS) && !defined(NO_FLUSH)
#define FLUSH if \
  :: waiting -> waiting = 0; d_step { buf[me].n == 0 -> v = mem[UNRUNG]; mem[UNRUNG] = 0 }; \
     if :: v -> LOAD(me, SLEEP, v); if :: v -> CAS(me, SLEEP, 1, 0, ok); if :: ok -> bell++ :: else fi :: else fi :: else fi; v = 0; ok = 0 \
  :: else fi
#else
#define FLUSH skip
#endif

/* Instance.publish and Ring.Put, then Instance.bell or bellSoon */
proctype Caller(byte me) {
  byte i_, k, v, waiting; bool ok, soon;
  do
  :: k < EACH ->
     if                                                    /* takeSlot, or Begin: with events to ring for nobody waits */
     :: atomic { free > 0 -> free-- }
#ifdef SUBMITS
     :: waiting && free == 0 -> FLUSH; atomic { free > 0 -> free-- }
#endif
     fi;
     do                                                    /* in.mu.Lock */
     :: CAS(me, LOCK, 0, 1, ok); if :: ok -> break :: else -> atomic { mem[LOCK] == 0 -> skip } fi
     od;
     skip;
#ifdef PUBLISH_EARLY
     XCHG(me, SEQ(pos), pos + 1);
     STORE(me, DATA(pos), pos + 1);
#else
     STORE(me, DATA(pos), pos + 1);                        /* the entry, and what it points at */
#ifdef NO_PRODUCER_FENCE
     STORE(me, SEQ(pos), pos + 1);
#else
     XCHG(me, SEQ(pos), pos + 1);                          /* word(b).Store */
#endif
#endif
     pos++;
     STORE(me, LOCK, 0);                                   /* in.mu.Unlock, taken for a release only */
#ifdef ALWAYS
     bell++;                                               /* bell, for a worker without fences */
#else
     soon = 0;
     if                                                    /* bellSoon, or bell for one that is alone */
     :: soon = 0
#ifdef SUBMITS
     :: d_step { buf[me].n == 0 -> mem[UNRUNG]++ };         /* Commit: unrung.Add */
        waiting = 1;
        goto rung
#endif
     :: LOAD(me, SLEEP, v);
        if :: v -> skip :: else -> goto rung fi;
        CAS(me, RINGING, 0, 1, ok);
        if :: ok -> soon = 1 :: else -> goto rung fi;
#ifndef FORGET_LATE
        XCHG(me, RINGING, 0)                               /* others published meanwhile */
#endif
     fi;
     LOAD(me, SLEEP, v);                                   /* bell */
     if
     :: v ->
#ifdef CLEAR_LATE
        bell++;
        STORE(me, SLEEP, 0)
#else
        CAS(me, SLEEP, 1, 0, ok);
        if :: ok -> bell++ :: else fi                      /* ring8 */
#endif
     :: else
     fi;
#ifdef FORGET_LATE
     if :: soon -> XCHG(me, RINGING, 0) :: else fi;
#endif
#endif
rung: k++; v = 0; ok = 0; soon = 0
  :: else -> break
  od;
  FLUSH;
  finished++
}

#ifdef ALWAYS
#define AWAKE skip
#else
#define AWAKE STORE(WORKER, SLEEP, 0)
#endif

/* channel_run, take_entry and arm_sleep */
proctype Worker() {
  byte i_, v, at;
  do
  :: LOAD(WORKER, SEQ(at), v);                             /* take_entry */
     if
     :: v == at + 1 ->
        LOAD(WORKER, DATA(at), v);
        assert(v == at + 1);                               /* in order, whole, and once */
        at++;
        atomic { taken++; free++ }                         /* the answer frees the slot */
     :: else ->
        LOAD(WORKER, STOP, v);
        if :: v -> break :: else fi;
#ifndef NO_RECHECK
#if !defined(ARM_LATE) && !defined(ALWAYS)
        STORE(WORKER, SLEEP, 1);                           /* arm_sleep */
#ifndef NO_CONSUMER_FENCE
        FENCE(WORKER);
#endif
#endif
        LOAD(WORKER, SEQ(at), v);
        if :: v == at + 1 -> AWAKE; goto next :: else fi;
        LOAD(WORKER, STOP, v);
        if :: v -> AWAKE; goto next :: else fi;
#ifdef ARM_LATE
        STORE(WORKER, SLEEP, 1);
        FENCE(WORKER);
#endif
#else
        STORE(WORKER, SLEEP, 1);
        FENCE(WORKER);
#endif
#ifdef DRAIN
        bell = 0;
#endif
        atomic { bell > 0 -> bell = 0 };                   /* read(eventfd) */
        AWAKE
     fi;
next: v = 0
  od;
  assert(taken == TOTAL)
}

/* Instance.close: no Invoke runs, that is every event was answered. */
proctype Closer() {
  atomic { finished == CALLERS && taken == TOTAL -> skip };
  XCHG(CLOSER, STOP, 1);
  XCHG(CLOSER, SLEEP, 0);
  bell++
}

init {
  atomic {
    byte c;
    do :: c < CALLERS -> run Caller(c); c++ :: else -> break od;
    run Worker(); run Closer()
  }
}
