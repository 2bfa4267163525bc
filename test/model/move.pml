/* A move: one dealer, two processors, one resource, and a network that loses,
 * doubles and reorders what it carries. Processors may be paused for longer than
 * the ttl: the dealer takes one for dead whenever it likes, EXPIRES times. See
 * docs/verification.md. */
#ifndef MOVES
#define MOVES 2         /* how often the deal changes */
#endif
#ifndef EXPIRES
#define EXPIRES 0
#endif
#ifndef DEPTH
#define DEPTH 2         /* messages under way on each link */
#endif
#define NOBODY 2
#ifndef EPOCHS
#define EPOCHS 8
#endif

/* The dealer's table. */
byte holder = NOBODY, want = NOBODY, epoch, since, moves, expires;
bool recalled;
byte version[2];

/* Processors. */
byte held[2], next[2], done[2], seen[2];
bool going[2];

/* The store of checkpoints: what it has seen, and who used an epoch. */
byte top;
byte user[EPOCHS] = NOBODY;

chan up[2] = [DEPTH] of { byte, byte, byte };   /* seen, held, the one that waits for it */
chan down[2] = [DEPTH] of { byte, byte };       /* version, epoch that should be held */

#ifdef SAME_EPOCH
#define GRANT if :: epoch == 0 -> epoch = 1 :: else fi; holder = want; recalled = 0; version[holder]++; since = version[holder]
#else
#define GRANT epoch++; holder = want; recalled = 0; version[holder]++; since = version[holder]
#endif

#define RELEASED if :: !recalled -> version[p]++ :: else fi; if :: want != NOBODY && epoch < EPOCHS - 1 -> GRANT :: else fi

/* a claim or a write: refused if a greater epoch was seen */
inline write(p, e) {
  if
#ifdef NO_FENCE
  :: true ->
     assert(e >= top);
#else
  :: e < top -> held[p] = 0; going[p] = 0; done[p] = e; held[p] = next[p]; next[p] = 0
  :: else ->
#endif
     top = (e > top -> e : top);
     assert(user[e] == NOBODY || user[e] == p);
     user[e] = p
  fi
}

proctype Dealer() {
  byte p, s, h, n;
  do
  /* Resources, joins and leaves: the deal changes. */
  :: atomic { moves < MOVES -> moves++;
       if :: want == NOBODY -> if :: want = 0 :: want = 1 fi :: else -> want = 1 - want fi;
       if
       :: holder == NOBODY -> GRANT
       :: holder != NOBODY && holder != want && !recalled ->
#ifdef GIVE_EARLY
          GRANT
#else
          recalled = 1; version[holder]++; since = version[holder]
#endif
       :: else
       fi }
  /* Table.age: the holder was silent. */
  :: atomic { expires < EXPIRES && holder != NOBODY -> expires++;
       want = 1 - holder; GRANT }
  /* Table.Beat */
  :: atomic {
       if :: up[0]?s,h,n -> p = 0 :: up[1]?s,h,n -> p = 1 fi;
       if
#ifdef BELIEVE_STALE
       :: holder == p && h != epoch && n != epoch -> holder = NOBODY; RELEASED
#else
       :: holder == p && h != epoch && n != epoch && s >= since -> holder = NOBODY; RELEASED
#endif
       :: else
       fi;
       if
       :: nfull(down[p]) ->
          if
          :: holder == p && !recalled -> down[p]!version[p],epoch
          :: else -> down[p]!version[p],0
          fi
       :: full(down[p])
       fi;
       s = 0; h = 0; n = 0; p = 0 }
  od
}

proctype Processor(byte me) {
  byte v, e;
  do
  /* Holder.Beat */
  :: atomic { nfull(up[me]) ->
#ifdef FORGET_GOING
       if
       :: going[me] -> up[me]!seen[me],next[me],0
       :: else -> up[me]!seen[me],held[me],next[me]
       fi
#else
       up[me]!seen[me],held[me],next[me]
#endif
     }
  /* Holder.Answer */
  :: atomic { down[me]?v,e ->
       if
       :: v < seen[me]
       :: v >= seen[me] ->
          seen[me] = v;
          if
          :: e == 0 || e <= done[me] -> next[me] = 0; if :: held[me] != 0 -> going[me] = 1 :: else fi
          :: e > done[me] && held[me] == 0 -> held[me] = e; write(me, e)
          :: e > done[me] && held[me] != 0 && e > held[me] -> going[me] = 1; next[me] = e
          :: else
          fi
       fi;
       v = 0; e = 0 }
  /* Holder.Released */
  :: atomic { going[me] -> going[me] = 0; done[me] = held[me]; held[me] = next[me]; next[me] = 0;
       if :: held[me] != 0 -> e = held[me]; write(me, e); e = 0 :: else fi }
  /* a checkpoint */
  :: atomic { held[me] != 0 -> e = held[me]; write(me, e); e = 0 }
  od
}

/* The network. */
proctype Link(byte i) {
  byte a, b, c;
  do
  :: atomic { up[i]?a,b,c; a = 0; b = 0; c = 0 }                            /* lost */
  :: atomic { down[i]?a,b; a = 0; b = 0 }
  :: atomic { len(up[i]) == 1 -> up[i]?<a,b,c>; up[i]!a,b,c; a = 0; b = 0; c = 0 } /* doubled */
  :: atomic { len(down[i]) == 1 -> down[i]?<a,b>; down[i]!a,b; a = 0; b = 0 }
  :: atomic { len(up[i]) > 1 -> up[i]?a,b,c; up[i]!a,b,c; a = 0; b = 0; c = 0 }  /* late */
  :: atomic { len(down[i]) > 1 -> down[i]?a,b; down[i]!a,b; a = 0; b = 0 }
  od
}

/* Without pauses no two work on it at once. */
proctype Watch() {
  atomic { EXPIRES == 0 && held[0] != 0 && held[1] != 0 -> assert(held[0] == 0 || held[1] == 0) }
}

init { atomic { run Dealer(); run Processor(0); run Processor(1); run Link(0); run Link(1); run Watch() } }
