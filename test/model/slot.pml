/* The life of a slot: callers, the reader of responses, the pool that calls
 * events back, a worker that may die or lie, and the worker that replaces it.
 * With COUNTED the worker cannot claim requests: it counts those it has begun,
 * and none is called back. Memory is taken to be sequential
 * here; tso.h is for the two wake-up models. See docs/verification.md. */
#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef EACH
#define EACH 1          /* events of each caller */
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef RECALLS
#define RECALLS 1       /* how often the pool calls events back */
#endif
#ifdef HOSTILE
#ifndef LIES
#define LIES 1          /* words or entries that a worker may forge, in all */
#endif
#endif
#define EVENTS (CALLERS * EACH)
#define MANY 7          /* entries of each ring in one incarnation: it never wraps here */

mtype = { ANSWERED, CRASHED, NOTRUN, RECALLED };
mtype = { QUEUED, BEGUN, TAKENBACK }; /* the claim word */

typedef Slot { byte gen; byte armed; byte pos; byte event; byte got; byte recalled; byte holds; chan done = [1] of { mtype } };
Slot slot[SLOTS];       /* the processor's side, in its own memory */

typedef Entry { byte slot; byte gen; byte event; mtype claim };
Entry req[MANY]; byte requests;
Entry resp[MANY]; byte responses;
byte begun;             /* the word at 0x204 */

bool dead, alive = 1, violated, lock;
bool busy[SLOTS];       /* not in the free list */
byte users;             /* Invokes that run: Close waits for them */
byte deaths, lies, recalls;
bool open = 1;          /* the pool gives this instance to callers */
bool dying;             /* the killed worker takes no further step */

/* what the properties speak of, by event from 1 */
byte ran[EVENTS + 1];
bool claimed[EVENTS + 1];
byte answers[EVENTS + 1];
byte outcomes[EVENTS + 1];

/* drop, putSlot */
#define DROP(s) d_step { slot[s].holds--; if :: slot[s].holds == 0 -> assert(slot[s].armed == 0); \
  assert(empty(slot[s].done)); busy[s] = 0; slot[s].event = 0; slot[s].got = 0 :: else fi }

/* Pool.Handle around Instance.Invoke */
proctype Caller(byte me) {
  byte ev, s; mtype o;
  byte k;
  do
  :: k < EACH ->
     ev = 1 + me * EACH + k;
again:
     atomic { open -> users++ };
     atomic {                                         /* takeSlot */
       if
       :: dead -> o = NOTRUN; goto settled
       :: !dead && !busy[0] -> s = 0
#if SLOTS > 1
       :: !dead && !busy[1] -> s = 1
#endif
       fi;
       busy[s] = 1; slot[s].gen++; slot[s].event = ev; slot[s].holds = 1
     };
     atomic { !lock -> lock = 1 };                    /* publish */
#ifndef NO_DEAD_CHECK
     if :: dead -> lock = 0; o = NOTRUN; goto put :: else fi;
#endif
     slot[s].pos = requests;
     slot[s].armed = slot[s].gen;
     d_step { req[requests].slot = s; req[requests].gen = slot[s].gen; req[requests].event = ev; req[requests].claim = QUEUED; requests++ };
     lock = 0;
     slot[s].done ? o;
     if
#ifndef HOSTILE
     :: o == ANSWERED -> assert(slot[s].got == ev)    /* one's own answer */
#endif
     :: else
     fi;
put: skip;
     DROP(s);
     s = 0;
settled:
     atomic {                                         /* Pool.settle loses a worker that broke */
       users--;
       if :: o == CRASHED || o == NOTRUN -> open = 0 :: else fi
     };
     if
     :: o == NOTRUN || o == RECALLED -> goto again    /* the pool runs it elsewhere */
     :: o == CRASHED ->
#ifndef HOSTILE
        assert(answers[ev] == 0);                     /* a published answer counts */
        assert(claimed[ev] == 1);                         /* what was not begun runs elsewhere */
#endif
        outcomes[ev]++
     :: o == ANSWERED ->
#ifndef HOSTILE
        assert(ran[ev] == 1);
#endif
        outcomes[ev]++
     fi;
     o = 0; k++
  :: else -> break
  od;
  ev = 0
}

#define BEGIN d_step { begun_++; begun = begun_; claimed[e] = 1 }
#ifdef HOSTILE
#define RUN(e) ran[e]++
#else
#define RUN(e) d_step { ran[e]++; assert(ran[e] == 1) }  /* the handler; never twice */
#endif
#define ANSWER d_step { resp[responses].slot = s; resp[responses].gen = g; resp[responses].event = e; responses++; answers[e]++; \
  s = 0; g = 0; e = 0; ok = 0 }

/* run_one, for one worker after another */
active proctype Worker() {
  byte at, begun_;
  byte s, g, e; bool ok;
endlife:
  {
end:
    do
    :: atomic { alive && at < requests -> s = req[at].slot; g = req[at].gen; e = req[at].event; at++ };
#ifdef COUNTED
#ifndef BEGUN_LATE
       BEGIN;
#endif
       RUN(e);
#ifdef BEGUN_LATE
       BEGIN;
#endif
       ANSWER;
#else
       atomic {                                       /* claim */
         if
         :: req[at-1].claim == QUEUED -> req[at-1].claim = BEGUN; claimed[e] = 1; ok = 1
         :: else -> ok = 0
         fi
       };
       if
#ifdef NO_CLAIM_CHECK
       :: true ->
#else
       :: ok ->
#endif
          RUN(e); ANSWER
#ifndef NO_CLAIM_CHECK
       :: else ->                                     /* pass_over */
          d_step { resp[responses].slot = s; resp[responses].gen = g; resp[responses].claim = TAKENBACK; responses++;
                   s = 0; g = 0; e = 0; ok = 0 }
#endif
       fi
#endif
#ifdef HOSTILE
    :: d_step { alive && lies < LIES && responses < MANY - EVENTS - RECALLS -> lies++ };
       if
#ifdef COUNTED
       :: begun = 0 :: begun = MANY
#else
       :: req[0].claim = QUEUED :: req[0].claim = BEGUN :: req[0].claim = TAKENBACK
       :: d_step { resp[responses].slot = 0; resp[responses].gen = slot[0].gen; resp[responses].claim = TAKENBACK; responses++ }
#endif
       :: d_step {
            resp[responses].slot = lies % SLOTS; resp[responses].gen = slot[lies % SLOTS].gen;
            resp[responses].event = slot[lies % SLOTS].event; responses++ }
       :: d_step { resp[responses].slot = 0; resp[responses].gen = slot[0].gen; resp[responses].event = slot[0].event; responses++ }
       :: d_step { resp[responses].slot = 0; resp[responses].gen = slot[0].gen + 1; responses++ }
       :: d_step { resp[responses].slot = SLOTS; resp[responses].gen = 1; responses++ }
       fi
#endif
    od
  } unless { !alive };
  at = 0; begun_ = 0; s = 0; g = 0; e = 0; ok = 0;
  dying = 1;
endgone:
  atomic { alive -> dying = 0 };
  goto endlife
}


active proctype Killer() {
end:
  do
  :: d_step { alive && deaths < DEATHS -> deaths++; alive = 0 }
  od
}

#ifndef COUNTED
/* Instance.Recall, all of it under the mutex */
active proctype Recaller() {
  byte s; bool ok;
end:
  do
  :: atomic { !lock && open && recalls < RECALLS -> lock = 1; recalls++; users++ };
#ifndef NO_RECALL_DEAD_CHECK
     if :: dead -> goto done :: else fi;
#endif
     do
     :: s < SLOTS ->
        if
        :: slot[s].armed != 0 && req[slot[s].pos].claim == QUEUED ->
           atomic {
             ok = req[slot[s].pos].claim == QUEUED;
             if :: ok -> req[slot[s].pos].claim = TAKENBACK :: else fi
           };
           if
           :: ok ->
              atomic { ok = slot[s].armed == slot[s].gen; if :: ok -> slot[s].armed = 0 :: else fi };
              if
              :: ok ->
                 slot[s].recalled = slot[s].gen;
                 slot[s].holds++;
                 assert(nfull(slot[s].done));
                 slot[s].done ! RECALLED
              :: else
              fi
           :: else
           fi
        :: else
        fi;
        s++; ok = 0
     :: else -> break
     od;
done: s = 0;
     atomic { lock = 0; users-- }
  od
}
#endif

inline DRAIN_RING() {                                 /* drain, check */
  do
  :: !violated && at < responses ->
     d_step { s = resp[at].slot; g = resp[at].gen; e = resp[at].event; back = resp[at].claim == TAKENBACK; at++ };
     if
     :: s >= SLOTS -> violated = 1; alive = 0
     :: s < SLOTS && back ->                          /* passedOver */
        atomic { !lock -> ok = slot[s].recalled == g && g != 0; if :: ok -> slot[s].recalled = 0 :: else fi };
        if
        :: ok -> DROP(s)
        :: else -> violated = 1; alive = 0
        fi
     :: else ->
        atomic {
#ifdef NO_CLAIM
          ok = g == slot[s].gen;
#else
          ok = (g != 0 && slot[s].armed == g);
          if :: ok -> slot[s].armed = 0 :: else fi    /* CompareAndSwap */
#endif
        };
        if
        :: ok ->
           slot[s].got = e;
           assert(nfull(slot[s].done));               /* a reader that blocks stops the channel */
           slot[s].done ! ANSWERED
        :: else -> violated = 1; alive = 0            /* violate */
        fi
     fi;
     s = 0; g = 0; e = 0; ok = 0; back = 0
  :: violated || at >= responses -> break
  od
}

/* read, settle, and the pool's repair */
active proctype Reader() {
  byte at, s, g, e, b; bool ok, back;
life:
end:
  do
  :: at < responses && !violated -> DRAIN_RING()
  :: !alive -> break
  od;
  dying;                                              /* reap */
#ifndef NO_LAST_DRAIN
  DRAIN_RING();
#endif
  atomic { !lock -> dead = 1 };                       /* settle */
  b = begun;
  do
  :: s < SLOTS ->
     atomic {
       ok = slot[s].armed != 0;
       slot[s].armed = 0;
     };
     if
     :: ok ->
        assert(nfull(slot[s].done));
        if
#ifdef COUNTED
        :: b > slot[s].pos -> slot[s].done ! CRASHED
#else
        :: req[slot[s].pos].claim != QUEUED -> slot[s].done ! CRASHED
#endif
        :: else -> slot[s].done ! NOTRUN
        fi
     :: else
     fi;
     s++; ok = 0
  :: else -> break
  od;
  open = 0;                                           /* Broken: the pool gives it to nobody */
  users == 0;                                         /* Close */
  d_step {
    s = 0; b = 0; at = 0; begun = 0; violated = 0; dead = 0;
    do :: requests > 0 -> requests--; req[requests].slot = 0; req[requests].gen = 0; req[requests].event = 0; req[requests].claim = 0 :: else -> break od;
    do :: responses > 0 -> responses--; resp[responses].slot = 0; resp[responses].gen = 0; resp[responses].event = 0; resp[responses].claim = 0 :: else -> break od;
    do :: s < SLOTS -> slot[s].gen = 0; slot[s].pos = 0; slot[s].recalled = 0; slot[s].holds = 0; slot[s].event = 0; busy[s] = 0; s++ :: else -> break od; s = 0
  };
  atomic { alive = 1; open = 1 };
  goto life
}

init {
  byte c, n;
  atomic { do :: c < CALLERS -> run Caller(c); c++ :: else -> break od };
#ifdef COUNTED
  _nr_pr == 4;
#else
  _nr_pr == 5;
#endif
  /* all callers have returned */
  n = 1;
  do :: n <= EVENTS -> assert(outcomes[n] == 1); n++ :: else -> break od
}
