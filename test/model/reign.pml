/* Two dealers of one store, two processors, one resource. A dealer may take the
 * other for dead whenever it likes, as after any pause or partition. See
 * docs/verification.md. */
#ifndef TERMS
#define TERMS 3         /* how often somebody takes over */
#endif
#ifndef GRANTS
#define GRANTS 3        /* leases that each dealer gives */
#endif
#ifndef DEPTH
#define DEPTH 1         /* messages under way on each link */
#endif
#define NOBODY 2
#define EPOCHS 16

/* The store: the record's revision, and the saved table. */
byte rev, term, savedHolder = NOBODY, savedEpoch;

/* Checkpoints. */
byte top;
byte user[EPOCHS] = NOBODY;

chan down[2] = [DEPTH] of { byte, byte };   /* term, epoch that should be held */

byte held[2], seen[2];

inline write(p, e) {
  if
#ifdef NO_FENCE
  :: true ->
     assert(e >= top);
#else
  :: e < top -> held[p] = 0
  :: else ->
#endif
     top = (e > top -> e : top);
     assert(user[e] == NOBODY || user[e] == p);
     user[e] = p
  fi
}

#define TELL(p) if \
  :: nfull(down[p]) -> if :: holder == p -> down[p]!mine,epoch :: else -> down[p]!mine,0 fi \
  :: full(down[p]) fi

proctype Dealer(byte me) {
  byte mine, at, grants;        /* its term, the revision it knows */
  byte holder = NOBODY, epoch;  /* its table */
  byte r, h, e;
end_look: /* Reign.Saw and Next: the other is silent */
  atomic { term < TERMS -> r = rev; h = savedHolder; e = savedEpoch };
  atomic { /* the record by compare-and-swap */
    if
    :: rev == r && term < TERMS ->
       rev++; term++; mine = term; at = rev;
#ifndef KEEP_TABLE
       holder = h; epoch = e;
#endif
#ifdef FORGET_EPOCH
       epoch = 0;
#endif
    :: else -> r = 0; h = 0; e = 0; goto end_look
    fi;
    r = 0; h = 0; e = 0 };
end_deal:
  do
  /* Table.Tick: the holder was silent, or there was none; the other gets it */
  :: atomic { grants < GRANTS -> grants++; epoch++;
       if :: holder == NOBODY -> if :: holder = 0 :: holder = 1 fi :: else -> holder = 1 - holder fi };
#ifdef TELL_EARLY
     atomic { TELL(holder) };
#endif
     atomic { /* the save */
       if
#ifdef NO_CAS
       :: true ->
#else
       :: rev == at ->
#endif
          rev++; at = rev; savedHolder = holder; savedEpoch = epoch
#ifndef NO_CAS
       :: rev == at -> rev++; savedHolder = holder; savedEpoch = epoch; goto lost /* and its answer never came */
       :: else -> goto lost
#endif
       fi };
  /* an answer, also of one who does not know that it is deposed */
  :: atomic { TELL(0) }
  :: atomic { TELL(1) }
  od;
lost:
  goto end_look
}

proctype Processor(byte me) {
  byte t, e;
end_beat:
  do
  :: atomic { down[me]?t,e ->
       if
       :: t < seen[me]
       :: else ->
          seen[me] = t;
          if
          :: e == held[me]
          :: e == 0 && held[me] != 0 -> held[me] = 0
          :: e != 0 && e > held[me] -> held[me] = e; write(me, e)
          :: else
          fi
       fi;
       t = 0; e = 0 }
  :: atomic { held[me] != 0 -> e = held[me]; write(me, e); e = 0 }
  od
}

proctype Link(byte i) {
  byte a, b;
end_link:
  do
  :: atomic { down[i]?a,b; a = 0; b = 0 }
  :: atomic { len(down[i]) == 1 -> down[i]?<a,b>; down[i]!a,b; a = 0; b = 0 }
  :: atomic { len(down[i]) > 1 -> down[i]?a,b; down[i]!a,b; a = 0; b = 0 }
  od
}

init { atomic { run Dealer(0); run Dealer(1); run Processor(0); run Processor(1); run Link(0); run Link(1) } }
