/* Waiting for answers of calls: several threads of a worker, one that waits for
 * the ring and others that each wait for a cell, share one eventfd and one
 * sleep flag. One of them reads, the others are told. See docs/verification.md. */
#ifndef THREADS
#define THREADS 2       /* the first waits for the ring, each other for a cell */
#endif
#ifndef EACH
#define EACH 1          /* things that come for each */
#endif

#define SLEEP 0
#define LOCK 1
#define SEQ(i) (2 + (i))           /* what thread i waits for: a sequence, or a cell's generation */
#define DATA(i) (2 + THREADS + (i))
#define WORDS (2 + 2 * THREADS)
#define THREAD(i) (THREADS + (i))  /* its buffer; those before are the processor's */
#define BUFFERS (2 * THREADS)
#include "tso.h"

byte bell;              /* the eventfd: a counter */
byte asked[THREADS];    /* credit: what the processor may still write */
bool waits[THREADS], told[THREADS], woken[THREADS]; /* these and reader are guarded by the worker's mutex */
byte wants[THREADS];
bool reader;
byte finished;          /* threads that waited for calls and are done */

/* put and bell, or publishAnswer */
proctype Processor(byte me) {
  byte i_, k, v; bool ok;
  do
  :: k < EACH ->
     atomic { asked[me] > k && (me > 0 || finished == THREADS - 1) -> skip }; /* the next event comes when the calls are over */
     STORE(me, DATA(me), k + 1);
#ifdef NO_PRODUCER_FENCE
     STORE(me, SEQ(me), k + 1);
#else
     XCHG(me, SEQ(me), k + 1);
#endif
     LOAD(me, SLEEP, v);
     if
     :: v -> CAS(me, SLEEP, 1, 0, ok); if :: ok -> bell++ :: else fi
     :: else
     fi;
     k++; v = 0; ok = 0
  :: else -> break
  od
}

#define TAKE_MUTEX do :: CAS(THREAD(me), LOCK, 0, 1, ok); if :: ok -> ok = 0; break :: else -> atomic { mem[LOCK] == 0 -> skip } fi od; skip
#define GIVE_MUTEX STORE(THREAD(me), LOCK, 0)

/* tell: the worker's threads never write these words, so memory is what they see */
#define TELL d_step { do \
  :: j < THREADS -> if :: waits[j] && !told[j] && mem[SEQ(j)] == wants[j] -> told[j] = 1; any = 1 :: else fi; j++ \
  :: else -> break od; j = 0 }

#define BROADCAST d_step { do :: j < THREADS -> woken[j] = 1; j++ :: else -> break od; j = 0 }

/* wait_ready */
proctype Thread(byte me) {
  byte i_, k, v, j; bool ok, any;
  do
  :: k < EACH ->
     asked[me]++;
     LOAD(THREAD(me), SEQ(me), v);
     if :: v == k + 1 -> goto got :: else fi;
     TAKE_MUTEX;
     d_step { told[me] = 0; waits[me] = 1; wants[me] = k + 1 };
     do
     :: LOAD(THREAD(me), SEQ(me), v);
        if :: v == k + 1 -> break :: else fi;
        if
        :: reader ->                                       /* pthread_cond_wait */
           woken[me] = 0;
           GIVE_MUTEX;
           woken[me];
           TAKE_MUTEX
        :: else ->
           reader = 1;
           STORE(THREAD(me), SLEEP, 1);                    /* doze */
#ifndef NO_CONSUMER_FENCE
           FENCE(THREAD(me));
#endif
#ifndef NO_RECHECK
           skip;
           TELL;
#endif
           if
           :: any -> STORE(THREAD(me), SLEEP, 0); GIVE_MUTEX
           :: else ->
              GIVE_MUTEX;
              atomic { bell > 0 -> bell = 0 };             /* read(eventfd) */
              STORE(THREAD(me), SLEEP, 0)
           fi;
           any = 0;
           TAKE_MUTEX;
           reader = 0;
           skip;
           TELL;
           any = 0;
#ifndef NO_BROADCAST
           BROADCAST
#endif
        fi
     od;
     skip; waits[me] = 0;
     BROADCAST;                                            /* another may have to read */
     GIVE_MUTEX;
got: LOAD(THREAD(me), DATA(me), v);
     assert(v == k + 1);
     k++; v = 0
  :: else -> break
  od;
  if :: me > 0 -> finished++ :: else fi
}

init {
  atomic {
    byte c;
    do :: c < THREADS -> run Processor(c); run Thread(c); c++ :: else -> break od
  }
}
