/*
 * The request/response handshake of a split driver: rings with event suppression, event channels with late re-arm,
 * and the close. docs/ring-model.md says what is modelled and what is not; ./check runs it and its mutants.
 *
 * Processors are TSO, as x86-64: each end has a FIFO store buffer that drains into memory at any later moment, and a
 * full fence waits until it is empty. A load never finds its own store in the buffer here: each index has one writer,
 * and a slot is read only after the peer has seen it (asserted in LOAD).
 */

#ifndef REQUESTS
#define REQUESTS 4 /* how many the application wants */
#endif
#ifndef ENTRIES
#define ENTRIES 2
#endif
#define MOD 8   /* indices wrap here, as real ones at 2^32 */
#define START 6 /* near the wrap */

#define SUB(a, b) (((a) + MOD - (b)) % MOD)
#define NEXT(a) (((a) + 1) % MOD)

/* Memory that both ends see. A request n is the value n, its response ANSWER + n. */
#define REQ_PROD 0
#define REQ_EVENT 1
#define RSP_PROD 2
#define RSP_EVENT 3
#define SLOTS 4
#define ANSWER 16
byte mem[SLOTS + ENTRIES];
chan buffer[2] = [ENTRIES + 3] of { byte, byte };

#define FRONT 0
#define BACK 1

#define STORE(who, word, value) buffer[who]!word, value
#define FENCE(who) empty(buffer[who])
#define LOAD(who, word, to) d_step { assert(!(buffer[who]??[eval(word), _])); to = mem[word]; }
#define SLOT(index) (SLOTS + ((index) % ENTRIES))

/* Event channels. An event is one bit; delivery masks the port until the handler is done. */
bool pending[2];
bool masked[2];
bool portClosed[2];
#define KICK(peer) d_step { if :: !portClosed[peer] -> pending[peer] = true :: else fi }
#ifdef LATE_CLEAR /* mutant: the event is taken away when its handler is done, not when it starts */
#define DELIVERABLE(who) (pending[who] && !masked[who])
#define DELIVER(who) masked[who] = true
#define UNMASK(who) d_step { pending[who] = false; masked[who] = false }
#else
#define DELIVERABLE(who) (pending[who] && !masked[who])
#define DELIVER(who) d_step { pending[who] = false; masked[who] = true }
#define UNMASK(who) masked[who] = false
#endif

/* xenbus: each end's state, and whether the peer's watch has queued a task on the loop. */
mtype = { connected, closing, closed };
mtype state[2];
bool watchFired[2];
bool mapped = true; /* the backend's mapping of the ring */
#define SWITCH_TO(who, peer, s) d_step { state[who] = s; WAKE_WATCH(peer) }
#ifdef NO_WATCH /* mutant: a change of state does not wake the peer's loop */
#define WAKE_WATCH(peer) skip
#else
#define WAKE_WATCH(peer) watchFired[peer] = true
#endif

/* Drains a store buffer: the processor's part. */
proctype StoreBuffer(byte who)
{
    byte word, value;
end_drained:
    do
#ifdef NO_RELEASE /* mutant: a processor that keeps no order between stores, and a publish that does not ask for it */
    :: atomic { buffer[who]??REQ_PROD, value -> mem[REQ_PROD] = value }
    :: atomic { buffer[who]??REQ_EVENT, value -> mem[REQ_EVENT] = value }
    :: atomic { buffer[who]??RSP_PROD, value -> mem[RSP_PROD] = value }
    :: atomic { buffer[who]??RSP_EVENT, value -> mem[RSP_EVENT] = value }
    :: atomic { buffer[who]??4, value -> mem[4] = value }
    :: atomic { buffer[who]??5, value -> mem[5] = value }
#else
    :: atomic { buffer[who]?word, value -> mem[word] = value; word = 0; value = 0 }
#endif
    od
}

proctype Front()
{
    byte reqProdPvt = START, pushed = START, rspCons = START;
    byte sent, seen, value, event, available;
    bool answered[REQUESTS];
    bool wantsClose;

pass:
    /* The watch of the backend's state. Then as many requests as the application happens to bring. */
    atomic {
        watchFired[FRONT] = false;
        if
        :: state[BACK] != connected -> wantsClose = true
        :: else
        fi
    };
    do
    :: sent < REQUESTS && !wantsClose && SUB(reqProdPvt, rspCons) < ENTRIES ->
        STORE(FRONT, SLOT(reqProdPvt), sent);
        d_step { reqProdPvt = NEXT(reqProdPvt); sent++ }
    :: break
    od;
    if
    :: reqProdPvt != pushed ->
        STORE(FRONT, REQ_PROD, reqProdPvt);
#ifndef NO_FENCE_PUSH_REQUESTS
        FENCE(FRONT);
#endif
        LOAD(FRONT, REQ_EVENT, event);
        if
        :: SUB(reqProdPvt, event) < SUB(reqProdPvt, pushed) -> KICK(BACK)
        :: SUB(reqProdPvt, event) < SUB(reqProdPvt, pushed) -> goto dead /* killed between push and kick */
        :: else
        fi;
        d_step { pushed = reqProdPvt; event = 0 }
    :: else
    fi;
    /* Responses, on a budget: it may stop before the ring is empty, and then looks again. */
    LOAD(FRONT, RSP_PROD, seen);
    assert(SUB(seen, rspCons) <= SUB(pushed, rspCons));
    do
    :: rspCons != seen ->
        LOAD(FRONT, SLOT(rspCons), value);
        d_step {
            assert(value >= ANSWER && value - ANSWER < sent); /* a response, and not an old request */
            assert(!answered[value - ANSWER]);                /* each request is answered once */
            answered[value - ANSWER] = true;
            rspCons = NEXT(rspCons);
            value = 0
        }
    :: rspCons != seen -> seen = 0; goto pass
    :: rspCons == seen -> seen = 0; break
    od;
    /* The application may give up at any time; when it has all that it wanted, it does. */
    if
    :: sent == REQUESTS && rspCons == reqProdPvt -> wantsClose = true
    :: wantsClose = true
    :: sent < REQUESTS || rspCons != reqProdPvt
    fi;
#ifdef CLOSE_WITHOUT_DRAIN /* mutant: says Closing with requests outstanding */
    if :: wantsClose -> goto close :: else fi;
#else
    if :: wantsClose && rspCons == reqProdPvt -> goto close :: else fi;
#endif
    /* Nothing left: final check, re-arm, sleep. */
    LOAD(FRONT, RSP_PROD, seen);
    if :: seen != rspCons -> seen = 0; goto pass :: else fi;
    STORE(FRONT, RSP_EVENT, NEXT(rspCons));
#ifndef NO_FENCE_CHECK_RESPONSES
    FENCE(FRONT);
#endif
#ifndef NO_FINAL_CHECK_RESPONSES
    LOAD(FRONT, RSP_PROD, seen);
    if :: seen != rspCons -> seen = 0; goto pass :: else fi;
#endif
    seen = 0;
    UNMASK(FRONT);
    if /* A kill while it sleeps is chosen here: below, it would count as a way out of every deadlock. */
    :: goto dead
    :: true
    fi;
    if
    :: atomic { DELIVERABLE(FRONT) -> DELIVER(FRONT) }; goto pass
    :: watchFired[FRONT] -> goto pass
    :: sent < REQUESTS && !wantsClose && SUB(reqProdPvt, rspCons) < ENTRIES -> goto pass /* the application submits */
    fi;

close:
    skip;
    SWITCH_TO(FRONT, BACK, closing);
    (state[BACK] == closed && watchFired[FRONT]); /* grants are revoked only after that */
    d_step { portClosed[FRONT] = true; pending[FRONT] = false };
    state[FRONT] = closed;
end_closed:
    goto finished;

dead: /* killed; the platform notices: the port is closed, the state is Closed */
    skip;
    d_step { portClosed[FRONT] = true; pending[FRONT] = false };
    SWITCH_TO(FRONT, BACK, closed);
finished:
    skip
}

proctype Back()
{
    byte rspProdPvt = START, pushed = START, reqCons = START;
    byte seen, value, event;
    byte inFlight[ENTRIES]; /* 0: none; else request + 1 */
    byte i;

pass:
    watchFired[BACK] = false;
    if
    :: state[FRONT] == connected
    :: state[FRONT] == closing -> goto close
    :: state[FRONT] == closed -> goto abandon
    :: state[BACK] == connected && state[FRONT] == connected -> SWITCH_TO(BACK, FRONT, closing) /* unplug, at any time */
    fi;
    /* Requests, on a budget. */
    assert(mapped);
    LOAD(BACK, REQ_PROD, seen);
    assert(SUB(seen, reqCons) <= ENTRIES - SUB(reqCons, rspProdPvt));
    do
    :: reqCons != seen ->
        LOAD(BACK, SLOT(reqCons), value);
        d_step {
            assert(value < REQUESTS); /* a request, and not an old response */
            i = 0;
            do
            :: inFlight[i] != 0 -> i++
            :: else -> break
            od;
            inFlight[i] = value + 1;
            reqCons = NEXT(reqCons);
            value = 0;
            i = 0
        }
    :: break
    od;
    seen = 0;
    /* The disk is done with some of them, in any order. */
    do
    :: inFlight[0] != 0 ->
        STORE(BACK, SLOT(rspProdPvt), ANSWER + inFlight[0] - 1);
        d_step { rspProdPvt = NEXT(rspProdPvt); inFlight[0] = 0 }
    :: inFlight[1] != 0 ->
        STORE(BACK, SLOT(rspProdPvt), ANSWER + inFlight[1] - 1);
        d_step { rspProdPvt = NEXT(rspProdPvt); inFlight[1] = 0 }
    :: break
    od;
    if
    :: rspProdPvt != pushed ->
        STORE(BACK, RSP_PROD, rspProdPvt);
#ifndef NO_FENCE_PUSH_RESPONSES
        FENCE(BACK);
#endif
        LOAD(BACK, RSP_EVENT, event);
        if
        :: SUB(rspProdPvt, event) < SUB(rspProdPvt, pushed) -> KICK(FRONT)
        :: else
        fi;
        d_step { pushed = rspProdPvt; event = 0 }
    :: else
    fi;
    /* Final check, re-arm, sleep. */
    LOAD(BACK, REQ_PROD, seen);
    if :: seen != reqCons -> seen = 0; goto pass :: else fi;
    STORE(BACK, REQ_EVENT, NEXT(reqCons));
#ifndef NO_FENCE_CHECK_REQUESTS
    FENCE(BACK);
#endif
#ifndef NO_FINAL_CHECK_REQUESTS
    LOAD(BACK, REQ_PROD, seen);
    if :: seen != reqCons -> seen = 0; goto pass :: else fi;
#endif
    seen = 0;
    UNMASK(BACK);
    if
    :: atomic { DELIVERABLE(BACK) -> DELIVER(BACK) }; goto pass
    :: watchFired[BACK] -> goto pass
    :: reqCons != rspProdPvt -> goto pass /* the disk completes something */
    fi;

close: /* the frontend says that it has its answers: so nothing may be outstanding */
    skip;
    LOAD(BACK, REQ_PROD, seen);
    assert(seen == reqCons && reqCons == rspProdPvt && rspProdPvt == pushed);
abandon: /* what is in flight is waited for, and its responses are dropped */
    FENCE(BACK); /* leaving the loop for the control plane is a synchronisation */
    mapped = false;
    d_step { portClosed[BACK] = true; pending[BACK] = false };
    SWITCH_TO(BACK, FRONT, closed)
}

init
{
    atomic {
        mem[REQ_PROD] = START;
        mem[RSP_PROD] = START;
        mem[REQ_EVENT] = NEXT(START);
        mem[RSP_EVENT] = NEXT(START);
        state[FRONT] = connected;
        state[BACK] = connected;
        /* A port bound by the backend is left pending. */
        pending[BACK] = true;
        run StoreBuffer(FRONT);
        run StoreBuffer(BACK);
        run Front();
        run Back()
    }
}
