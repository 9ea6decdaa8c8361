/*
 * One chain of Catena as a model for Spin: lease, fence, lien expiry, hold, pivot and settle.
 * README.md beside this file says what is modelled, what is left out, and what Spin found.
 *
 * The chain:   reserve 3 of a wallet's 4   (done: the chain starts here)
 *              CHARGE    an outside step; REFUND undoes it
 *              draw      1 or 3 of the lien, in the commit that writes the charge's approval
 *              PAYOUT    the pivot, an outside step that cannot be undone
 *              draw      1 more if 1 was drawn, then COMPLETED and settle, in one commit
 *
 * Two workers carry it; an operator, a sweep of expired liens, and a world (people who spend, the
 * clock, the network) act at any moment. Every atomic block is a transaction, or a call, or a read.
 *
 * Two numbers that only grow in the database are kept here as what they are compared for:
 *   the chain's version   a commit sends everyone who has decided back to read again
 *   the row's fence       `holder`: who claimed the row last, so whose fence it still bears
 * A worker holds one fence at a time, so both are exact; and the model stays finite.
 *
 * -DTWIN_... breaks the protocol in one place each; tests/oracles/test_spin.py lists them.
 */

/* ---- how much may go wrong: "once faults stop" is when this is used up ---- */

#ifndef FAULTS
#define FAULTS 3                /* in any mix: a worker dies or freezes, a call or its answer is */
#endif                          /* lost or late, the partner refuses */
#define CANCELS 1
#define HOLDS 1
#ifndef UNDECIDED
#define UNDECIDED 1             /* calls that the partner takes without deciding */
#endif

/* ---- the chain's row ---- */

mtype = {
    EXECUTING, HELD, FAILED, ROLLING_BACK, COMPLETED, ROLLED_BACK,  /* a chain */
    ABSENT, PENDING, WAITING, UNKNOWN, SKIPPED,                     /* a step, beside some above */
    ACTIVE, UTILIZED, RELEASED, EXPIRED                             /* a lien */
}

#define CHARGE  0
#define REFUND  1               /* COMPENSATING is PENDING or EXECUTING here, COMPENSATED COMPLETED */
#define PAYOUT  2
#define NO_CALL 3
#define ROUNDS  4               /* keys that a call may use: one, and one more for each refusal */

mtype chain = EXECUTING;
mtype step[3] = { PENDING, ABSENT, ABSENT };
byte round[3];                  /* the key of a call is (chain, step, direction, round) */
bool recorded;                  /* a cancel or an expiry came while the pivot was out */

/* ---- the wallet and the lien, in units; short, so that an overdraft shows ---- */

#define LIEN 3

short posted = LIEN;
short reserved = LIEN;
short holding;                  /* what the chain has moved from the wallet */
mtype lien = ACTIVE;
short rest = LIEN;
short drawn;
short released;
bool past_expiry;               /* the database's clock says that the lien's time is over */

#define LIEN_OPEN   (lien == ACTIVE || lien == UTILIZED)
#define EXPIRY_DUE  (past_expiry && lien == ACTIVE)

#define TERMINAL        (chain == COMPLETED || chain == ROLLED_BACK)
#define OUT(call)       (step[call] == EXECUTING || step[call] == WAITING || step[call] == UNKNOWN)
#define PIVOT_OUT       OUT(PAYOUT)
#define PIVOT_APPROVED  (step[PAYOUT] == COMPLETED)
#define IN_FLIGHT       (OUT(CHARGE) || PIVOT_OUT)
#define FAILING         (chain == FAILED || recorded)
#define A_STEP_UNKNOWN  (step[CHARGE] == UNKNOWN || step[PAYOUT] == UNKNOWN)

/* ---- the work row: one at a time is open, since this chain's calls follow each other ---- */

#define WORKERS 2
#define NOBODY  9

byte work = CHARGE;             /* the call that is to be made */
byte holder = NOBODY;           /* whose fence it bears; NOBODY: it is due */

/* ---- the workers ---- */

mtype = {
    IDLE, CLAIMED, BEGIN, CALLING, TAKEOVER, LOOKING, RESEND, REVOKING, ANSWERED, WRITING,
    APPROVED, REFUSED, TAKEN, SILENCE, NOT_FOUND
}

mtype at[WORKERS] = IDLE;       /* what it will do next */
byte mine[WORKERS] = NO_CALL;   /* the row that it claimed */
byte key[WORKERS];              /* the round under which it calls */
mtype answer[WORKERS];
bool frozen[WORKERS];

/* ---- others who decide over the chain's row: first they read, at a later moment they commit ---- */

mtype = { NOTHING, FAIL, RECORD, HOLD, RESUME, EXPIRE }
mtype command = NOTHING;        /* what the operator has decided */
mtype sweeping = NOTHING;       /* what the sweep has decided */

/* ---- the partner: at most one effect per key; it replays what it has answered ---- */

typedef Keys { mtype at_round[ROUNDS] }
Keys partner[3];                /* by call and round: 0 never seen, TAKEN and undecided, APPROVED */
                                /* (done) or REFUSED */
byte undecided = NO_CALL;       /* what it has taken: sooner or later it decides */
byte undecided_key;
byte late = NO_CALL;            /* a request that is still on its way, though nobody waits for it */
byte late_key;

#define DONE(call, n)  (partner[call].at_round[n] == APPROVED)
#define EFFECTS(call)  (DONE(call, 0) + DONE(call, 1) + DONE(call, 2) + DONE(call, 3))

byte faults = FAULTS;
byte cancels = CANCELS, holds = HOLDS, hesitations = UNDECIDED;

/* ================ what must be true: each is named, and named again where it fails ============== */

bool I3_no_overdraft = true;    /* posted - reserved never falls below nothing */
bool I6_net_effect = true;      /* ROLLED_BACK nets to zero, COMPLETED to what was declared */
bool I7_once = true;            /* one outside effect per step and direction; one answer per attempt */
bool I8_liens_end = true;       /* a terminal chain has no open lien; a lien's amount adds up */
bool I8_lien_kept = true;       /* nothing leaves a lien early while its chain may need it */
bool I9_fence = true;           /* a stale worker never writes */
bool I12_hold = true;           /* nothing is dispatched while HELD */
bool I13_pivot = true;          /* nothing is undone past a pivot */
bool pivot_is_awaited = true;   /* no chain is FAILED while its pivot is out */
bool failed_starts_nothing = true;
bool only_failing_is_revoked = true;

inline demand(name, truth) { name = name && (truth); assert(name) }

/* A rule keeps harm away before it is done. -DHARM_ONLY looks away until money is wrong. */
#ifdef HARM_ONLY
inline rule(name, truth) { skip }
#else
inline rule(name, truth) { demand(name, truth) }
#endif

/* Looked at after each commit and each effect at the partner, late ones included. */
inline check_net()
{
    demand(I7_once, EFFECTS(CHARGE) <= 1 && EFFECTS(REFUND) <= 1 && EFFECTS(PAYOUT) <= 1);
    demand(I6_net_effect, chain != ROLLED_BACK || (holding == 0 && drawn == 0 &&
        EFFECTS(CHARGE) == EFFECTS(REFUND) && EFFECTS(PAYOUT) == 0));
    demand(I6_net_effect, chain != COMPLETED || (holding == drawn && (holding == 2 || holding == 3) &&
        EFFECTS(CHARGE) == 1 && EFFECTS(REFUND) == 0 && EFFECTS(PAYOUT) == 1))
}

inline check_books()
{
    demand(I3_no_overdraft, posted >= reserved && reserved >= 0 && rest >= 0);
    demand(I8_liens_end, !TERMINAL || (!LIEN_OPEN && reserved == 0));
    demand(I8_liens_end, rest + drawn + released == LIEN && reserved == rest)
}

inline check_commit()
{
    check_books();
    rule(pivot_is_awaited, !PIVOT_OUT || chain == EXECUTING || chain == HELD);
    rule(I13_pivot, !PIVOT_APPROVED || chain == EXECUTING || chain == HELD || chain == COMPLETED);
    check_net()
}

/* ================ the machine: pure, called within a commit ====================================== */

inline open_work(call) { work = call; holder = NOBODY; step[call] = PENDING }
inline close_work()    { work = NO_CALL; holder = NOBODY }

/* The chain spends: from its lien, and what the lien lacks from what is available. */
inline draw(amount)
{
    posted = posted - amount;
    holding = holding + amount;
    if
    :: rest >= amount -> rest = rest - amount; reserved = reserved - amount; drawn = drawn + amount
    :: else -> drawn = drawn + amount; released = released - amount     /* only in broken twins */
    fi;
    if
    :: rest == 0 && lien == ACTIVE -> lien = UTILIZED
    :: else
    fi
}

/* What comes back to a lien that has ended is everyone's. */
inline undo_draws()
{
    posted = posted + holding;
    holding = 0;
    if
    :: LIEN_OPEN && drawn > 0 -> rest = rest + drawn; reserved = reserved + drawn; lien = ACTIVE
    :: else -> released = released + drawn
    fi;
    drawn = 0
}

inline end_lien(how)
{
    reserved = reserved - rest;
    released = released + rest;
    rest = 0;
    lien = how
}

/* The lien's unused rest runs out; the chain is told in the same commit. */
inline expire_and_fail()
{
    rule(I8_lien_kept, chain == EXECUTING && !PIVOT_OUT && !PIVOT_APPROVED && !A_STEP_UNKNOWN);
    end_lien(EXPIRED);
    chain = FAILED
}

inline end_chain(outcome)
{
    chain = outcome;
#ifndef TWIN_SETTLE_LATER
    if
    :: LIEN_OPEN -> end_lien(RELEASED)
    :: else
    fi
#endif
}

/* Run to the next wall: everything that follows by itself happens in the same commit. */
inline run_on()
{
    if
    :: chain == EXECUTING && PIVOT_APPROVED ->          /* voids what was recorded */
        if
        :: drawn == 1 -> draw(1)
        :: else
        fi;
        end_chain(COMPLETED)
    :: chain == EXECUTING && (step[CHARGE] == FAILED || step[PAYOUT] == FAILED) ->
        if                                              /* a refusal lets it take effect */
        :: recorded && EXPIRY_DUE -> expire_and_fail()
        :: else -> chain = FAILED
        fi
    :: chain == EXECUTING && step[CHARGE] == COMPLETED && step[PAYOUT] == ABSENT ->
        if
        :: EXPIRY_DUE -> expire_and_fail()              /* a draw past expiry decides it */
        :: else ->
            if
            :: draw(1)
            :: draw(3)
            fi;
            open_work(PAYOUT)
        fi
    :: else
    fi;
    if
    :: chain == FAILED && !IN_FLIGHT ->                 /* else it waits for a certain answer */
        if
        :: step[CHARGE] == PENDING -> step[CHARGE] = SKIPPED
        :: step[PAYOUT] == PENDING -> step[PAYOUT] = SKIPPED
        :: else
        fi;
        close_work();
        chain = ROLLING_BACK;
        undo_draws();                                   /* in reverse commit order; an outside */
        if                                              /* undo holds up no other */
        :: LIEN_OPEN -> end_lien(RELEASED)              /* with the undo of its reservation, */
        :: skip                                         /* or when the chain settles */
        fi;
        if
        :: step[CHARGE] == COMPLETED -> open_work(REFUND)
        :: else -> end_chain(ROLLED_BACK)
        fi
    :: chain == ROLLING_BACK && step[REFUND] == COMPLETED -> end_chain(ROLLED_BACK)
    :: else
    fi
}

/*
 * A commit says `WHERE version = what was read`; where another was faster it does nothing, and its
 * writer reads again. Here the faster one sends it back to reading at once, which is the same.
 */
inline send_back(w)
{
    if
    :: at[w] == BEGIN || at[w] == TAKEOVER -> at[w] = CLAIMED
    :: at[w] == RESEND || at[w] == WRITING -> at[w] = ANSWERED
    :: else
    fi
}

inline commit()
{
    run_on();
#ifndef TWIN_NO_VERSION
    send_back(0); send_back(1); command = NOTHING; sweeping = NOTHING;
#endif
    check_commit()
}

/* ================ the partner ==================================================================== */

/* A request arrives: the answer that was given for its key, or a new one. */
inline serve(call, n)
{
    if
    :: partner[call].at_round[n] == 0 ->
        if
        :: partner[call].at_round[n] = APPROVED
        :: faults > 0 -> faults--; partner[call].at_round[n] = REFUSED
        :: hesitations > 0 && call != REFUND && undecided == NO_CALL ->
            hesitations--; partner[call].at_round[n] = TAKEN; undecided = call; undecided_key = n
        fi;
        check_net()
    :: else
    fi
}

inline decide(outcome)
{
    partner[undecided].at_round[undecided_key] = outcome;
    undecided = NO_CALL; undecided_key = 0;
    check_net()
}

/* It is asked never to act on this key: it does not, or has acted, or has yet to decide. */
inline revoke(call, n)
{
    if
    :: partner[call].at_round[n] == 0 -> partner[call].at_round[n] = REFUSED
    :: partner[call].at_round[n] == TAKEN ->
        rule(only_failing_is_revoked, FAILING);
        if
        :: decide(REFUSED)
        :: skip
        fi
    :: else
    fi
}

/* ================ a worker ======================================================================= */

#define MINE(me)     (work == mine[me] && holder == me)
#ifdef TWIN_NO_TAKEOVER
#define DUE(me)      (work != NO_CALL && holder == NOBODY)
#else
#define DUE(me)      (work != NO_CALL && (holder == NOBODY || (holder != me && frozen[holder])))
#endif
#define UNDOING(me)  (mine[me] == REFUND && chain == ROLLING_BACK)

#ifdef TWIN_NO_FENCE
#define MAY_WRITE_RESULT(me)  true
#else
#define MAY_WRITE_RESULT(me)  MINE(me)
#endif

inline forget(me)
{
    at[me] = IDLE; mine[me] = NO_CALL; key[me] = 0; answer[me] = 0
}

inline give_back(me)
{
    if
    :: MINE(me) -> holder = NOBODY
    :: else
    fi;
    forget(me)
}

/* The intent is committed: from here on the partner may be called under this key. */
inline dispatch(me)
{
    rule(I9_fence, MINE(me));
    rule(I12_hold, chain != HELD);
    rule(failed_starts_nothing, chain == EXECUTING || UNDOING(me));
    step[mine[me]] = EXECUTING;
    key[me] = round[mine[me]];
    at[me] = CALLING;
    commit()
}

inline write_refusal(call)
{
    if
    :: call == REFUND || (chain != FAILED && !recorded && round[call] < ROUNDS - 1) ->
        round[call]++;                                  /* certainly nothing was done: a new key, */
        step[call] = PENDING;                           /* later */
        holder = NOBODY
    :: call != REFUND -> step[call] = FAILED; close_work()
    fi
}

inline write_result(me)
{
    rule(I9_fence, MINE(me));
    rule(I7_once, OUT(mine[me]));
    if
    :: answer[me] == APPROVED -> step[mine[me]] = COMPLETED; close_work()
    :: answer[me] == REFUSED -> write_refusal(mine[me])
    :: answer[me] == TAKEN -> step[mine[me]] = WAITING; holder = NOBODY
    :: answer[me] == SILENCE ->
#ifdef TWIN_NEW_ROUND
        step[mine[me]] = PENDING;
        round[mine[me]]++;
#else
        step[mine[me]] = UNKNOWN;
#endif
        holder = NOBODY
    fi;
    forget(me);
    commit()
}

active [WORKERS] proctype worker()
{
end:
    do
    /* Claim what is due, or what a worker holds whose lease has run out. */
    :: atomic { !frozen[_pid] && at[_pid] == IDLE && DUE(_pid) &&
            (_pid == 0 || at[0] != IDLE) ->
        holder = _pid; mine[_pid] = work; at[_pid] = CLAIMED }

    /* Read and decide. */
    :: atomic { !frozen[_pid] && at[_pid] == CLAIMED ->
        if
        :: !MINE(_pid) -> forget(_pid)
        :: MINE(_pid) && step[work] == PENDING && (chain == EXECUTING || UNDOING(_pid)) ->
            at[_pid] = BEGIN
#ifdef TWIN_CALL_WHEN_HELD
        :: MINE(_pid) && step[work] == PENDING && chain == HELD -> at[_pid] = BEGIN
#else
        :: MINE(_pid) && step[work] == PENDING && chain == HELD -> give_back(_pid)
#endif
        :: MINE(_pid) && step[work] == EXECUTING -> at[_pid] = TAKEOVER
        :: MINE(_pid) && step[work] == UNKNOWN -> at[_pid] = LOOKING
#ifdef TWIN_REVOKE_SOUND
        :: MINE(_pid) && step[work] == WAITING -> at[_pid] = REVOKING
#else
        :: MINE(_pid) && step[work] == WAITING && FAILING -> at[_pid] = REVOKING
        :: MINE(_pid) && step[work] == WAITING && !FAILING -> at[_pid] = LOOKING
#endif
        fi }

    /* Commit the intent of a first attempt, or of one under a new key. */
    :: atomic { !frozen[_pid] && at[_pid] == BEGIN ->
        if
        :: !MINE(_pid) -> forget(_pid)
        :: MINE(_pid) -> dispatch(_pid)
        fi }

    /* Somebody began this attempt and was not heard of again. */
    :: atomic { !frozen[_pid] && at[_pid] == TAKEOVER ->
        if
        :: !MINE(_pid) -> forget(_pid)
        :: MINE(_pid) ->
#ifdef TWIN_CALL_AFRESH
            round[work]++;
            dispatch(_pid)
#else
            rule(I9_fence, MINE(_pid));
            step[work] = UNKNOWN;
            at[_pid] = LOOKING;
            commit()
#endif
        fi }

    /* Call, with no transaction open. A zombie calls too: its fence is looked at when it writes. */
    :: atomic { !frozen[_pid] && at[_pid] == CALLING ->
        if
        :: serve(mine[_pid], key[_pid]); answer[_pid] = partner[mine[_pid]].at_round[key[_pid]]
        :: faults > 0 -> faults--; answer[_pid] = SILENCE;
            if
            :: skip                                                     /* the request is lost, */
            :: serve(mine[_pid], key[_pid])                             /* or its answer, */
            :: late == NO_CALL -> late = mine[_pid]; late_key = key[_pid]   /* or it is late */
            fi
        fi;
        at[_pid] = ANSWERED }

    /* Ask the partner under the same key what became of it. */
    :: atomic { !frozen[_pid] && at[_pid] == LOOKING ->
        key[_pid] = round[mine[_pid]];
        if
        :: partner[mine[_pid]].at_round[key[_pid]] == 0 -> answer[_pid] = NOT_FOUND
        :: else -> answer[_pid] = partner[mine[_pid]].at_round[key[_pid]]
        fi;
        at[_pid] = ANSWERED }

    /* The chain has failed, or will if it can: ask the partner never to act on this key. Its last
     * answer decides; while it is undecided it is asked again. */
    :: atomic { !frozen[_pid] && at[_pid] == REVOKING ->
        key[_pid] = round[mine[_pid]];
        revoke(mine[_pid], key[_pid]);
        answer[_pid] = partner[mine[_pid]].at_round[key[_pid]];
        at[_pid] = ANSWERED }

    /* With an answer: read and decide. "Not found" is no certain answer. */
    :: atomic { !frozen[_pid] && at[_pid] == ANSWERED ->
        if
        :: !MAY_WRITE_RESULT(_pid) -> forget(_pid)
        :: MAY_WRITE_RESULT(_pid) && answer[_pid] == TAKEN && step[mine[_pid]] == WAITING ->
#ifdef TWIN_TRUST_REVOKING
            if
            :: FAILING -> answer[_pid] = REFUSED; at[_pid] = WRITING
            :: else -> give_back(_pid)
            fi
#else
            give_back(_pid)
#endif
        :: MAY_WRITE_RESULT(_pid) && answer[_pid] != NOT_FOUND &&
                (answer[_pid] != TAKEN || step[mine[_pid]] != WAITING) -> at[_pid] = WRITING
        :: MAY_WRITE_RESULT(_pid) && answer[_pid] == NOT_FOUND ->
            if
            :: chain == EXECUTING || UNDOING(_pid) -> at[_pid] = RESEND
            :: chain == HELD -> give_back(_pid)
#ifdef TWIN_TRUST_NOT_FOUND
            :: chain == FAILED -> answer[_pid] = REFUSED; at[_pid] = WRITING
#else
#ifdef TWIN_CALL_WHEN_FAILED
            :: chain == FAILED -> at[_pid] = RESEND
#else
            :: chain == FAILED -> at[_pid] = REVOKING
#endif
#endif
            :: else -> forget(_pid)
            fi
        fi }

    /* Commit another attempt under the same key. */
    :: atomic { !frozen[_pid] && at[_pid] == RESEND ->
        if
        :: !MINE(_pid) -> forget(_pid)
        :: MINE(_pid) -> dispatch(_pid)
        fi }

    /* Commit the answer, under the fence. */
    :: atomic { !frozen[_pid] && at[_pid] == WRITING ->
        if
        :: !MAY_WRITE_RESULT(_pid) -> forget(_pid)
        :: MAY_WRITE_RESULT(_pid) -> write_result(_pid)
        fi }

    /* kill -9: everything that it knew is gone; its row falls due when the lease runs out. */
    :: atomic { at[_pid] != IDLE && faults > 0 ->
        faults--; frozen[_pid] = false; give_back(_pid) }

    /* kill -STOP, and -CONT at any later moment; or never, while another worker runs. */
    :: atomic { !frozen[_pid] && at[_pid] != IDLE && faults > 0 -> faults--; frozen[_pid] = true }
    :: atomic { frozen[_pid] -> frozen[_pid] = false }
    :: atomic { frozen[_pid] && !frozen[1 - _pid] -> skip }

#ifdef TWIN_SETTLE_LATER
    :: atomic { at[_pid] == IDLE && TERMINAL && LIEN_OPEN -> end_lien(RELEASED); check_commit() }
#endif
    od
}

/* ================ an operator: cancel, hold, resume ============================================== */

active proctype operator()
{
end:
    do
    :: atomic { command == NOTHING && cancels > 0 && (chain == EXECUTING || chain == HELD) ->
        if
#ifdef TWIN_CANCEL_PAID
        :: PIVOT_APPROVED -> command = FAIL
#else
        :: PIVOT_APPROVED -> cancels--                                  /* too late: refused */
#endif
#ifdef TWIN_FAIL_WHILE_OUT
        :: PIVOT_OUT -> command = FAIL
#else
        :: PIVOT_OUT -> command = RECORD
#endif
        :: else -> command = FAIL
        fi }
    :: atomic { command == NOTHING && holds > 0 && chain == EXECUTING -> command = HOLD }
    /* A hold has a longest duration: it always ends. */
    :: atomic { command == NOTHING && chain == HELD -> command = RESUME }

    :: atomic { command == FAIL -> command = NOTHING; cancels--; chain = FAILED; commit() }
    :: atomic { command == RECORD -> command = NOTHING; cancels--; recorded = true; commit() }
    :: atomic { command == HOLD -> command = NOTHING; holds--; chain = HELD; commit() }
    :: atomic { command == RESUME -> command = NOTHING; chain = EXECUTING; commit() }
    od
}

/* ================ the sweep of liens whose time is over ========================================== */

#ifdef TWIN_EXPIRE_PAST_PIVOT
#define PIVOT_FORBIDS_EXPIRY  false
#else
#define PIVOT_FORBIDS_EXPIRY  (PIVOT_OUT || PIVOT_APPROVED)
#endif

active proctype sweep()
{
end:
    do
    :: atomic { sweeping == NOTHING && EXPIRY_DUE && chain == EXECUTING &&
            !A_STEP_UNKNOWN && !PIVOT_FORBIDS_EXPIRY -> sweeping = EXPIRE }
    :: atomic { sweeping == NOTHING && EXPIRY_DUE && chain == EXECUTING && PIVOT_OUT && !recorded ->
        sweeping = RECORD }

    :: atomic { sweeping == EXPIRE -> sweeping = NOTHING; expire_and_fail(); commit() }
    :: atomic { sweeping == RECORD -> sweeping = NOTHING; recorded = true; commit() }
    od
}

/* ================ the world ====================================================================== */

active proctype world()
{
end:
    do
    /* Somebody outside spends what is available. */
    :: atomic { posted > reserved -> posted = reserved }
    /* The lien's time runs out; the clock stands still for a chain on hold. */
    :: atomic { !past_expiry && chain == EXECUTING -> past_expiry = true }
    /* The partner decides about what it has taken. */
    :: atomic { undecided != NO_CALL ->
        if
        :: decide(APPROVED)
        :: faults > 0 -> faults--; decide(REFUSED)
        fi }
    /* A late request arrives, whatever has become of its chain. */
    :: atomic { late != NO_CALL -> serve(late, late_key); late = NO_CALL; late_key = 0 }
    od
}

/* ================ liveness, and what must be reachable =========================================== */

/* Under weak fairness: who can act for ever does act. */
ltl I10_ends { <> TERMINAL }

/* Each of these says "never", and Spin must prove it wrong: the model does not hold by idleness. */
#define ZOMBIE(w)  (!frozen[w] && mine[w] != NO_CALL && !MINE(w))

ltl reach_completed            { [] !(chain == COMPLETED) }
ltl reach_refunded             { [] !(chain == ROLLED_BACK && step[REFUND] == COMPLETED) }
ltl reach_never_charged        { [] !(chain == ROLLED_BACK && step[CHARGE] == SKIPPED) }
ltl reach_payout_refused       { [] !(chain == ROLLED_BACK && step[PAYOUT] == FAILED) }
ltl reach_third_key            { [] !(chain == COMPLETED && round[PAYOUT] == 2) }
ltl reach_zombie_calls         { [] !(ZOMBIE(0) && at[0] == CALLING) }
ltl reach_zombie_writes        { [] !(ZOMBIE(0) && at[0] == WRITING) }
ltl reach_zombie_of_last_step  { [] !(ZOMBIE(0) && mine[0] == CHARGE && work == PAYOUT) }
ltl reach_zombie_after_end     { [] !(ZOMBIE(0) && at[0] == CALLING && TERMINAL) }
ltl reach_both_frozen          { [] !(frozen[0] && frozen[1]) }
ltl reach_failed_and_unknown   { [] !(chain == FAILED && step[CHARGE] == UNKNOWN) }
ltl reach_revoked              { [] !(chain == FAILED && at[0] == REVOKING) }
ltl reach_waited_and_done      { [] !(chain == COMPLETED && hesitations < UNDECIDED) }
ltl reach_waiting_and_failed   { [] !(chain == FAILED && step[CHARGE] == WAITING) }
ltl reach_waiting_and_recorded { [] !(step[PAYOUT] == WAITING && recorded) }
ltl reach_given_up_charge      { [] !(chain == ROLLED_BACK && step[CHARGE] == FAILED && faults == FAULTS) }
ltl reach_given_up_pivot       { [] !(chain == ROLLED_BACK && step[PAYOUT] == FAILED && faults == FAULTS) }
ltl reach_revoked_in_vain      { [] !(chain == FAILED && step[CHARGE] == WAITING && at[0] == ANSWERED &&
                                      answer[0] == TAKEN) }
ltl reach_revoked_too_late     { [] !(chain == ROLLED_BACK && step[REFUND] == COMPLETED &&
                                      hesitations < UNDECIDED) }
ltl reach_late_after_end       { [] !(TERMINAL && late != NO_CALL) }
ltl reach_refund_unknown       { [] !(step[REFUND] == UNKNOWN) }
ltl reach_held_and_unknown     { [] !(chain == HELD && step[PAYOUT] == UNKNOWN) }
ltl reach_approved_while_held  { [] !(chain == HELD && PIVOT_APPROVED) }
ltl reach_refused_while_held   { [] !(chain == HELD && step[PAYOUT] == FAILED) }
ltl reach_recorded_and_void    { [] !(chain == COMPLETED && recorded) }
ltl reach_recorded_and_done    { [] !(chain == ROLLED_BACK && recorded && step[PAYOUT] == FAILED) }
ltl reach_expired_unspent      { [] !(lien == EXPIRED && step[PAYOUT] == ABSENT) }
ltl reach_expired_after_draw   { [] !(lien == EXPIRED && step[PAYOUT] == SKIPPED) }
ltl reach_expired_by_refusal   { [] !(lien == EXPIRED && step[PAYOUT] == FAILED) }
ltl reach_spent_after_expiry   { [] !(lien == EXPIRED && chain == ROLLED_BACK && posted == 0) }
ltl reach_nothing_to_expire    { [] !(past_expiry && chain == EXECUTING && lien == UTILIZED) }
ltl reach_settled_rest         { [] !(chain == COMPLETED && released == 1) }
ltl reach_released_by_undo     { [] !(chain == ROLLING_BACK && lien == RELEASED) }
ltl reach_released_by_settle   { [] !(chain == ROLLING_BACK && lien == ACTIVE) }
