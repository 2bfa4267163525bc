/* Responses: the worker publishes, the processor's reader takes them and parks
 * in Go's poller, which watches the eventfd edge-triggered. With SPINS, callers
 * that wait awake take its part at times; with HEARS, callers that are alone do, and park at
 * a bell of their own; with STAYS, who did a call does, whoever is parked. The worker may die at any moment. See docs/verification.md. */
#ifndef TOTAL
#define TOTAL 3
#endif
#ifndef RING
#define RING 2
#endif

#define SLEEP 0
#define SEQ(i) (1 + (i) % RING)
#define DATA(i) (1 + RING + (i) % RING)
#define WORDS (1 + 2 * RING)
#define WORKER 0
#define READER 1
#define BUFFERS 2
#include "tso.h"

/* The store of the sequence, and the count that the property speaks of. */
#define PUBLISH(i) d_step { buf[WORKER].n < DEPTH -> buf[WORKER].at[buf[WORKER].n] = SEQ(i); \
  buf[WORKER].val[buf[WORKER].n] = i + 1; buf[WORKER].n++; published++ }

bool edge, edge2;       /* the kernel has an event for the poller, of either bell */
bool readable, readable2; /* the poller's descriptor of that bell is ready (pollDesc.rg) */
bool deadline, deadline2; /* reap set a read deadline in the past */
bool ended;             /* the process is gone */
bool mortal;            /* it may be killed: if it always might, no wait would be for ever */
byte free = RING;       /* slots: the worker answers only what it was sent */
byte published;
byte taken;
bool owed;              /* an outcome that its caller does not have yet */

/* respond, put_entry, ring_bell; it may be killed between any two steps */
proctype Worker() {
  byte i_, v, at;
  {
    do
    :: at < TOTAL ->
       atomic { free > 0 -> free-- };
#ifdef PUBLISH_EARLY
       PUBLISH(at);
       STORE(WORKER, DATA(at), at + 1);
#else
       STORE(WORKER, DATA(at), at + 1);
       PUBLISH(at);
#endif
       at++;
#ifdef ALWAYS
       FENCE(WORKER);                                  /* the lock inside write(eventfd) */
       edge = 1;
#else
#ifndef NO_PRODUCER_FENCE
       FENCE(WORKER);
#endif
       LOAD(WORKER, SLEEP, v);
       if
       :: v ->
#ifdef CLEAR_LATE
          edge = 1;
          STORE(WORKER, SLEEP, 0)
#else
          TAKE(WORKER, SLEEP, v);
          if                                           /* write(eventfd) */
          :: v == 1 -> edge = 1
          :: v == 2 -> edge2 = 1
          :: else
          fi
#endif
       :: else
       fi;
#endif
       v = 0
    :: else -> break
    od;
    atomic { taken == TOTAL -> skip }                  /* nothing more is asked of it */
  } unless { ended }
}

/* SIGKILL, or its own end: when the processor learns of it the worker's
 * stores have reached memory. */
proctype Death() {
  if
  :: mortal -> ended = 1                               /* now or at any later moment */
  :: atomic { taken == TOTAL && !owed -> ended = 1 }
  fi;
  FENCE(WORKER);
  deadline = 1; readable = 1;                          /* reap: SetReadDeadline wakes the reader */
  deadline2 = 1; readable2 = 1                         /* and the caller that is alone */
}

/* the network poller: collects edges */
active proctype Poller() {
end:
  do
  :: atomic { edge -> edge = 0; readable = 1 }
  :: atomic { edge2 -> edge2 = 0; readable2 = 1 }
  od
}

byte pos;               /* of the ring's reader, whoever that is now */
bool held;              /* Instance.reading */
bool holds;             /* lone.holder: a caller is the reader */
#ifndef SPINS
#define SPINS 0
#endif
#ifndef HEARS
#define HEARS 0
#endif
#ifndef TELLS
#define TELLS 0
#endif
#ifndef STAYS
#define STAYS 0
#endif
#if SPINS || HEARS || STAYS
#define LOCK atomic { !held -> held = 1 }
#define UNLOCK held = 0
#else
#define LOCK skip
#define UNLOCK skip
#endif

inline DRAIN_RING() {                                  /* Instance.drain, Ring.Take */
  do
  :: LOAD(READER, SEQ(pos), v);
     if
     :: v == pos + 1 ->
        LOAD(READER, DATA(pos), v);
        assert(v == pos + 1);
        pos++;
        atomic { taken++; free++ }
     :: else -> break
     fi
  od
}

/* Instance.read */
proctype Reader() {
  byte i_, v;
  do
  :: LOCK; DRAIN_RING(); UNLOCK;
     if :: deadline -> break :: else fi;               /* RawConn.Read: prepareRead */
#ifndef RESET_LATE
     readable = 0;
#endif
     do                                                /* park, then waitRead */
     ::
#ifdef PARK_PAST
        if
        :: held -> goto parked                         /* leaves it to the caller that spins */
        :: else
        fi;
#endif
        LOCK;
        if
        :: holds -> UNLOCK                             /* a caller is the reader: it looks when it ceases */
        :: else ->
#ifdef NO_CONSUMER_FENCE
        STORE(READER, SLEEP, 1);
#else
        XCHG(READER, SLEEP, 1);
#endif
#ifndef NO_RECHECK
        LOAD(READER, SEQ(pos), v);
        if :: v == pos + 1 -> XCHG(READER, SLEEP, 0); UNLOCK; break :: else fi;
#endif
        UNLOCK
        fi;
#ifdef PARK_PAST
parked: skip;
#endif
#ifdef RESET_LATE
        readable = 0;
#endif
        atomic { readable || deadline -> readable = 0 };
        if :: deadline -> break :: else fi
#ifdef NO_RECHECK
        ; break
#endif
     od
  od;
  LOCK;
#ifndef NO_LAST_DRAIN
  DRAIN_RING();
#endif
  assert(taken == published);                               /* what was published counts */
  UNLOCK
}

/* Callers that wait awake, one after another: publish takes the flag back,
 * Instance.wait and watch are the reader for a while. */
proctype Spinner() {
  byte i_, v, left = SPINS;
  do
  :: left > 0 && !ended ->
     left--;
     XCHG(READER, SLEEP, 0);
     if
     :: LOCK;
        XCHG(READER, SLEEP, 0);                        /* the reader may have parked since */
        do
        :: DRAIN_RING()
        :: break                                       /* it had its outcome, or enough */
        od
     :: LOCK                                           /* another held it: not watched */
     fi;
     skip;
#ifdef SPIN_NO_RECHECK
     DRAIN_RING(); skip;
#endif
#ifndef SPIN_FORGETS
     XCHG(READER, SLEEP, 1);
#endif
#ifndef SPIN_NO_RECHECK
     DRAIN_RING();
#endif
     UNLOCK
  :: break
  od
}

/* Callers that are alone, one after another: Instance.await. When one has its
 * outcome is left open; another (Instance.Recall, the end of a scope) may give it. */
bool told;              /* somebody else gave the outcome */
bool waits;             /* lone.waits */

proctype Hearer() {
  byte i_, v, left = HEARS; bool ok;
  do
  :: left > 0 && !ended ->
     left--; ok = 0;
     LOCK;                                             /* takeOver */
     CAS(READER, SLEEP, 1, 2, ok);
     d_step { holds = ok; held = 0 };
     if
     :: ok ->
        readable2 = 0;                                 /* RawConn.Read: prepareRead */
        do                                             /* lookAlone, then waitRead */
        :: atomic { !held -> held = 1; waits = 0 };
           DRAIN_RING();
           if
           :: goto leave                               /* it has its outcome */
           :: !told
           fi;
#ifdef HEAR_LATE
           if :: told -> UNLOCK; goto again :: else fi;
#endif
           waits = 1;
           XCHG(READER, SLEEP, 2);
#ifndef HEAR_NO_RECHECK
           LOAD(READER, SEQ(pos), v);
           if :: v == pos + 1 -> v = 0; UNLOCK; goto again :: else -> v = 0 fi;
#endif
#ifndef HEAR_LATE
           if :: told -> UNLOCK; goto again :: else fi;
#endif
           UNLOCK;
           atomic { readable2 || deadline2 -> readable2 = 0 };
           if :: deadline2 -> LOCK; goto leave :: else fi;
again:     v = 0
        od;
leave:  atomic { holds = 0; waits = 0; told = 0; owed = 0; v = 0; ok = 0 }; /* handBack */
#ifndef HEAR_FORGETS
        XCHG(READER, SLEEP, 1);
#endif
        DRAIN_RING();
        UNLOCK
     :: else
     fi
  :: break
  od
}

/* Who did a call waits awake for the next one: Instance.another. What it takes may be
 * the outcome of the caller that is alone, which it then rouses. */
proctype Stayer() {
  byte i_, v, bell, had, left = STAYS;
  do
  :: left > 0 && !ended ->
     left--;
     atomic { LOCK; TAKE(READER, SLEEP, bell); had = pos };
     if
     :: bell ->
        do
        :: DRAIN_RING()
        :: break
        od;
        skip;
#ifdef STAY_NO_RECHECK
        DRAIN_RING(); skip;
#endif
#ifdef STAY_TAKES_FIRST
        XCHG(READER, SLEEP, 1);
#else
#ifndef STAY_FORGETS
        XCHG(READER, SLEEP, bell);
#endif
#endif
#ifndef STAY_NO_RECHECK
        DRAIN_RING(); skip;
#endif
        if
        :: atomic { had != pos && holds && !told && !ended -> told = 1; owed = 1 };
           if :: waits -> edge2 = 1 :: else fi
        :: skip
        fi
     :: else
     fi;
     d_step { UNLOCK; bell = 0; had = 0; v = 0 }
  :: break
  od
}

/* slot.complete by somebody who is not the reader, with Instance.rouse */
proctype Teller() {
  if
  :: atomic { holds && !ended -> told = 1; owed = 1 };
     if :: waits -> edge2 = 1 :: else fi
  :: ended
  fi
}

#ifndef IMMORTAL
#define IMMORTAL 0
#endif
init { atomic { if :: !IMMORTAL -> mortal = 1 :: skip fi; run Worker(); run Reader(); if :: SPINS > 0 -> run Spinner() :: else fi; if :: HEARS > 0 -> run Hearer() :: else fi; if :: TELLS > 0 -> run Teller() :: else fi; if :: STAYS > 0 -> run Stayer() :: else fi; run Death() } }
