/* Memory as an x86 core shows it (total store order): a store waits in the
 * buffer of its process and reaches memory later, in order, at a moment that
 * nobody chooses. A load sees the process's own buffer first. A fence, an
 * exchange and a compare-and-swap wait until the buffer is empty. System calls
 * are not taken for fences. The model that includes this defines WORDS and
 * BUFFERS; a process is known by the number of its buffer. */
#define DEPTH 5 /* stores that a buffer holds; the deepest run without a fence is shorter */

byte mem[WORDS];
typedef Buffer { byte at[DEPTH]; byte val[DEPTH]; byte n };
Buffer buf[BUFFERS];
byte flushers;

#define STORE(p, w, v) d_step { buf[p].n < DEPTH -> buf[p].at[buf[p].n] = w; buf[p].val[buf[p].n] = v; buf[p].n++ }
#define FENCE(p) (buf[p].n == 0)
#define XCHG(p, w, v) d_step { buf[p].n == 0 -> mem[w] = v }

inline LOAD(p, w, v) {
  d_step {
    v = mem[w]; i_ = 0;
    do
    :: i_ < buf[p].n -> if :: buf[p].at[i_] == w -> v = buf[p].val[i_] :: else fi; i_++
    :: else -> break
    od; i_ = 0
  }
}

/* ok: whether the word was old and is now new. */
inline CAS(p, w, old, new, ok) {
  d_step { buf[p].n == 0 -> if :: mem[w] == old -> mem[w] = new; ok = 1 :: else -> ok = 0 fi }
}

/* An exchange with 0; v gets what was there. */
#define TAKE(p, w, v) d_step { buf[p].n == 0 -> v = mem[w]; mem[w] = 0 }

active [BUFFERS] proctype Flush() {
  byte me, k;
  d_step { me = flushers; flushers++ }
end:
  do
  :: d_step {
       buf[me].n > 0 ->
       mem[buf[me].at[0]] = buf[me].val[0];
       k = 1;
       do
       :: k < buf[me].n -> buf[me].at[k-1] = buf[me].at[k]; buf[me].val[k-1] = buf[me].val[k]; k++
       :: else -> break
       od;
       buf[me].n--;
       buf[me].at[buf[me].n] = 0; buf[me].val[buf[me].n] = 0; k = 0
     }
  od
}
