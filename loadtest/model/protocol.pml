/* The protocol of docs/protocol.md as an explicit-state model for Spin. It shares nothing with
 * node/core: whoever reads one rule wrongly in both must do so twice.
 *
 * Instances (instances.py) set: N replicas, E epochs, LEN entries, CRASHES, CHANGES of the
 * configuration, SITE_A and SITE_B (masks of replicas), START (members), COPIES (copies_min), AFTER
 * (who begins like the replica before it). Masks have bit r for replica r. BUG_* break a rule.
 *
 * How the network is modelled. No message is ever stored: a receiver acts on what its sender has
 * said, or could have said, at any time after, once, often or never. So loss, delay, reordering and
 * duplication are all there, for nothing:
 *   Append  a leader's log only grows within its epoch, so whatever it has sent is a prefix of
 *           `sent[e]`. The chain hash makes agreement at `prev` agreement below it, too, so an
 *           Append with its entries is "your log up to m is this" (M1), whatever its `prev`.
 *   Ack     `acked[e, n]`: who has vouched for index n in epoch e. It only grows.
 *   Promise durable while dprom = e, with the log of that moment, since nobody but the winner may
 *           change it. Promise and Fetch are one step: a donor that vanishes in between is one
 *           whose promise never came (T5).
 *   Fence   any epoch that was ever won may be heard of at any time.
 * How time is modelled: not at all. Who may try to take over may try at any moment, so a lease that
 * runs out, a suspicion and a handover (T1, T2, H1) are the same step, `win`.
 * How a disk is modelled: a write is durable from some later moment on (`persist`), all that was
 * written before it, too. A write that completes after a later one was issued might as well have
 * completed before. Where no crash can come any more, "not yet on disk" cannot be told from "not
 * yet heard", so there everything is on disk at once.
 */

/* An entry is three bits: the epoch it was written in, and 4 more if by a leader that went on after
 * a restart (only BUG_T8 does). A log is its entries, the first in the lowest bits. */
#define ENTRY(log, i)   (((log) >> (3 * ((i) - 1))) & 7)
#define PREFIX(log, m)  ((log) & ((1 << (3 * (m))) - 1))
#define LENGTH(log)     ((log) > 511 -> 4 : ((log) > 63 -> 3 : ((log) > 7 -> 2 : ((log) > 0))))
#define EPOCH_OF(entry) ((entry) > 4 -> (entry) - 4 : (entry))
#define LEAST(a, b)     ((a) < (b) -> (a) : (b))
#define HAS(mask, r)    (((mask) >> (r)) & 1)

/* A configuration: its members, and whether the active site is B. */
#define B_ACTIVE   16
#define SITES      (SITE_A | SITE_B)
#define ACTIVE(c)  ((c) & B_ACTIVE -> SITE_B : SITE_A)
#define COUNT(m)   (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1))
#define MAJORITY(n) ((n) == 0 -> 0 : (n) / 2 + 1)
#define ENOUGH_OF(c, have, site) (COUNT((c) & (have) & (site)) >= MAJORITY(COUNT((c) & (site))))
/* W(C): a majority of both sites' sets; an empty set asks for nothing. */
#ifdef BUG_X1
#define WRITE_QUORUM(c, have) ENOUGH_OF(c, have, ACTIVE(c))
#else
#define WRITE_QUORUM(c, have) (ENOUGH_OF(c, have, SITE_A) && ENOUGH_OF(c, have, SITE_B))
#endif
/* R_X(C): n - majority(n) + 1 of the active site's set. */
#ifdef BUG_T4_SMALL
#define TAKEOVER_SIZE(n) ((n) - MAJORITY(n))
#else
#define TAKEOVER_SIZE(n) ((n) - MAJORITY(n) + 1)
#endif
#ifdef BUG_T4_OUTSIDE
#define TAKEOVER_QUORUM(c, have) (COUNT(have) >= TAKEOVER_SIZE(COUNT((c) & ACTIVE(c))))
#else
#define TAKEOVER_QUORUM(c, have) \
    (COUNT((c) & ACTIVE(c) & (have)) >= TAKEOVER_SIZE(COUNT((c) & ACTIVE(c))))
#endif
#define COPIES_OF(c) (MAJORITY(COUNT((c) & SITE_A)) + MAJORITY(COUNT((c) & SITE_B)))

/* A disk that was given up: its promise and its log are never chosen, nothing new is sent to it. */
#ifdef PROMOTION
#define GIVEN_UP(r) ((conf[rev] & B_ACTIVE) && HAS(SITE_A, r))
#else
#define GIVEN_UP(r) false
#endif

#define FOLLOWER 0
#define TAKEOVER 1
#define LEADER   2

/* Replicas: in memory ... */
byte role[N];
byte prom[N];           /* a leader's epoch is its promise */
short log[N];
byte com[N];            /* commit index */
byte vow[N];            /* matched in the epoch promised, to be vouched for when on disk (D2) */
byte got[N];            /* a takeover's promises (T4) */
short best[N];          /* the greatest log among them (T5) */
byte based[N];          /* the configuration revision a takeover or leader goes by */
byte target[N];         /* a leader's change under way: C' (S1) */
bool asked[N];          /* ... and whether etcd was asked for it (S3) */
/* ... and on disk. */
byte dprom[N];
short dlog[N];

/* What leaders and followers have said (see above). */
short sent[E + 1];
byte told[E + 1];       /* the greatest commit index told */
byte acked[(E + 1) * (LEN + 1)];
#define ACKED(e, n) acked[(e) * (LEN + 1) + (n)]

/* etcd. `conf` keeps the configurations of all revisions, for whoever goes by an old one. */
byte key;               /* the leader key's mod_revision, counted in epochs; 0: absent */
byte rev;
byte conf[CHANGES + 1];
byte last;              /* the last epoch won */
byte winners;
/* A change on its way to etcd (E4): target, epoch and revision it compares. An older leader's
 * could not succeed any more, so one place is enough. */
byte posted;
byte posted_epoch;
byte posted_rev;
#ifdef BUG_E4_REVISION
byte stray;             /* a second copy of the first change that passed (S4 sends it again) */
byte stray_epoch;
#endif
byte maker[CHANGES + 1];    /* by the leader of which epoch a configuration was made */

/* A promotion with loss (X4). */
byte fence_epoch;       /* the key it has taken; 0: none */
byte vowed;             /* who has vowed at it */
short listed;           /* what the old site has, as vowed */

/* A read (R1): at the leader, how much was acknowledged to anybody when it came in, plus 1; and who
 * has answered a round since. */
byte inquiry[N];
byte heard[N];
byte reads = READS;

byte crashes = CRASHES;
byte leads;             /* epochs led just now */
bool resumed;

/* What the invariants remember: all that the leader of each epoch has committed. */
short settled[E + 1];

/* Scratch: set before it is used in the same step. */
hidden byte at, late, size;
hidden short entries;
hidden byte agreement, durability, one_leader, fenced_acks, truncation, current_read, loss_listed;

c_decl {
    \#include <stdio.h>
    static unsigned char witnessed[32];
    static void milestone(int number, const char *what)
    {
        if (!witnessed[number]) {
            witnessed[number] = 1;
            printf("witness: %s\n", what);
        }
    }
}

inline end_role(r)
{
    if
    :: role[r] == LEADER ->
        leads = leads & ~(1 << prom[r]);
        at = 1;
        do
        :: at <= LEN -> ACKED(prom[r], at) = 0; at++
        :: else -> break
        od
    :: else
    fi;
    role[r] = FOLLOWER; got[r] = 0; best[r] = 0; based[r] = 0; target[r] = 0; asked[r] = 0;
    inquiry[r] = 0; heard[r] = 0
}

/* An Ack's index leaves for the leader, if there is one to hear it. */
inline vouch(r, index)
{
    if
    :: HAS(leads, prom[r]) ->
        at = 1;
        do
        :: at <= index -> ACKED(prom[r], at) = ACKED(prom[r], at) | (1 << r); at++
        :: else -> break
        od
    :: else
    fi
}

/* D1, D2: all that was written is on disk, and what waited for that leaves. What no replica would
 * take any more, having promised more, is forgotten. */
inline persist(r)
{
    dlog[r] = log[r];
    vouch(r, vow[r]);
    vow[r] = 0;
    if
    :: dprom[r] != prom[r] ->
        dprom[r] = prom[r];
        size = dprom[0];
        at = 1;
        do
        :: at < N -> size = LEAST(size, dprom[at]); at++
        :: else -> break
        od;
        at = 1;
        do
        :: at < size -> sent[at] = 0; told[at] = 0; at++
        :: else -> break
        od
    :: else
    fi
}

/* Every write ends so: durable at once where nothing can be lost any more. */
inline written(r)
{
    if
    :: crashes == 0 -> persist(r)
    :: else
    fi
}

inline promise(r, epoch)
{
    end_role(r);
    prom[r] = epoch;
    vow[r] = 0
}

/* Replicas that begin alike may as well be called in the order in which they first win. */
#define IN_TURN(r) (!HAS(AFTER, r) || HAS(winners, (r) - 1))

/* E2 and T3: only a member of the active site's set wins, in the configuration of that moment. E2
 * compares its revision, T3 reads it again after winning; as E4 keeps others from changing it in
 * between, either would do, and BUG_E2 leaves out both. */
#ifdef BUG_E2
#define MAY_WIN(r, c) ((c) <= rev && HAS(conf[c] & ACTIVE(conf[c]), r))
#else
#define MAY_WIN(r, c) HAS(conf[c] & ACTIVE(conf[c]), r)
#endif

/* With another epoch in the leader key a change can never pass (E4). */
inline forget_posted()
{
#ifndef BUG_E4
    posted = 0; posted_epoch = 0; posted_rev = 0
#else
    skip
#endif
}

inline win(r, c)
{
    last++;
    key = last;
    forget_posted();
    winners = winners | (1 << r);
    promise(r, last);
    role[r] = TAKEOVER;
    based[r] = c;
    printf("R%d wins epoch %d in configuration %d and promises it\n", r, last, c);
    written(r)
}

/* T4: accept a higher epoch only. */
inline fence(r, epoch)
{
    promise(r, epoch);
    printf("R%d promises epoch %d\n", r, epoch);
    written(r)
}

/* D3: what a promise says is on disk. */
#ifdef BUG_D3
#define HAS_PROMISED(f, epoch) (prom[f] == epoch)
#define TOLD_LOG(f) log[f]
#else
#define HAS_PROMISED(f, epoch) (dprom[f] == epoch)
#define TOLD_LOG(f) dlog[f]
#endif
#define LAST_EPOCH(l) ((l) == 0 -> 0 : EPOCH_OF(ENTRY(l, LENGTH(l))))
#ifdef BUG_T5
#define IS_GREATER(a, b) (LENGTH(a) > LENGTH(b))
#else
#define IS_GREATER(a, b) ((a) != 0 && ((b) == 0 || LAST_EPOCH(a) > LAST_EPOCH(b) \
    || (LAST_EPOCH(a) == LAST_EPOCH(b) && LENGTH(a) > LENGTH(b))))
#endif

inline hear_promise(r, f)
{
    got[r] = got[r] | (1 << f);
    if
    :: IS_GREATER(TOLD_LOG(f), best[r]) -> best[r] = TOLD_LOG(f)
    :: else
    fi;
    printf("R%d hears that R%d has promised epoch %d\n", r, f, prom[r])
}

/* T4: a takeover quorum has promised; the own promise, on disk, is among them. */
#define MAY_LEAD(r) (role[r] == TAKEOVER && HAS(got[r], r) && LENGTH(best[r]) < LEN \
    && TAKEOVER_QUORUM(conf[based[r]], got[r]))

/* T5, T6: the greatest log, and an EpochStart after it. */
inline lead(r)
{
    late = prom[r];
    one_leader = !HAS(leads, late) && sent[late] == 0;
    assert(one_leader);
    /* M2: what is known to be committed here stays. */
    truncation = PREFIX(best[r], com[r]) == PREFIX(log[r], com[r]);
    assert(truncation);
    /* Durability: what was ever acknowledged is in the log of every later leader. */
    printf("R%d has a takeover quorum and leads epoch %d with log [%o]\n", r, late, best[r]);
    at = 1;
    do
    :: at < late ->
        durability = PREFIX(best[r], LENGTH(settled[at])) == settled[at];
        assert(durability);
        at++
    :: else -> break
    od;
    if
    :: best[r] != log[r] -> c_code { milestone(1, "a leader begins with another's log"); }
    :: else
    fi;
    log[r] = best[r] | (late << (3 * LENGTH(best[r])));
    sent[late] = log[r];
    got[r] = 0;
    best[r] = 0;
    role[r] = LEADER;
    leads = leads | (1 << late);
    vow[r] = LENGTH(log[r]);
#ifdef BUG_D4
    vouch(r, vow[r]);
#endif
    written(r)
}

#define START_OF(l, epoch) (EPOCH_OF(ENTRY(l, 1)) == epoch -> 1 : \
    (EPOCH_OF(ENTRY(l, 2)) == epoch -> 2 : (EPOCH_OF(ENTRY(l, 3)) == epoch -> 3 : 4)))

/* T6: only who serves proposes. */
#define MAY_PROPOSE(r) (role[r] == LEADER && LENGTH(log[r]) < LEN \
    && com[r] >= START_OF(log[r], prom[r]))

inline propose(r)
{
    size = LENGTH(log[r]);
    log[r] = log[r] | ((prom[r] + (resumed -> 4 : 0)) << (3 * size));
    sent[prom[r]] = log[r];
    vow[r] = size + 1;
    printf("R%d, leader of epoch %d, places entry %d\n", r, prom[r], size + 1);
#ifdef BUG_D4
    vouch(r, vow[r]);
#endif
    written(r)
}

/* An Append of `epoch` with everything up to m (M1, M2), and the commit index up to there. The
 * greatest ever told: what a follower knows to be committed only forbids it things. */
inline append(r, epoch, m)
{
    if
    :: prom[r] < epoch -> promise(r, epoch)
    :: else
    fi;
    entries = PREFIX(sent[epoch], m);
    size = m;
#ifdef BUG_M1
    size = LENGTH(log[r]);
    size = (size > m -> size : m);
#endif
#ifdef BUG_M2
    if
    :: log[r] != entries ->
#else
    if
    :: PREFIX(log[r], m) != entries ->
#endif
        if
        :: PREFIX(entries, LENGTH(log[r])) != log[r] ->
            c_code { milestone(2, "a follower drops a suffix that conflicts"); };
            truncation = PREFIX(log[r], com[r]) == PREFIX(entries, com[r]);
            printf("R%d drops its log [%o] for [%o] of epoch %d\n", r, log[r], entries, epoch);
            assert(truncation)
        :: else -> printf("R%d takes the log [%o] of epoch %d\n", r, entries, epoch)
        fi;
        log[r] = entries
    :: else -> printf("R%d has the log of epoch %d up to %d\n", r, epoch, m)
    fi;
    vow[r] = (size > vow[r] -> size : vow[r]);
#ifdef BUG_M1_COMMIT
    at = LEAST(told[epoch], LENGTH(log[r]));
#else
    at = LEAST(told[epoch], m);
#endif
    com[r] = (at > com[r] -> at : com[r]);
    size = LEAST(com[r], LENGTH(settled[epoch]));
    agreement = PREFIX(log[r], size) == PREFIX(settled[epoch], size);
    assert(agreement);
#ifdef BUG_D2
    vouch(r, vow[r]);
#endif
    if
    :: log[r] == dlog[r] && prom[r] == dprom[r] -> persist(r)   /* nothing to wait for */
    :: else -> written(r)
    fi
}

/* T7, S1: on W(C), while a set changes also on W(C'), and written in the own epoch. */
#ifdef BUG_T7
#define OF_OWN_EPOCH(r, n) true
#else
#define OF_OWN_EPOCH(r, n) (EPOCH_OF(ENTRY(log[r], n)) == prom[r])
#endif
#ifdef BUG_S1
#define ON_QUORUM(r, have) (WRITE_QUORUM((target[r] -> target[r] : conf[based[r]]), have))
#else
#define ON_QUORUM(r, have) (WRITE_QUORUM(conf[based[r]], have) \
    && (target[r] == 0 || WRITE_QUORUM(target[r], have)))
#endif
#define MAY_COMMIT(r, n) (role[r] == LEADER && com[r] < n && LENGTH(log[r]) >= n \
    && OF_OWN_EPOCH(r, n) && ON_QUORUM(r, ACKED(prom[r], n)))

/* Invariants 1 to 3. */
inline judge_commit(r, n)
{
    /* Agreement: never two committed entries at one index. */
    at = 1;
    do
    :: at <= E ->
        size = LEAST(n, LENGTH(settled[at]));
        agreement = PREFIX(settled[at], size) == PREFIX(entries, size);
        assert(agreement);
        at++
    :: else -> break
    od;
    settled[prom[r]] = entries;
    /* What a fenced leader still acknowledges is in every later leader's log. */
    late = prom[r] + 1;
    do
    :: late <= E ->
        fenced_acks = sent[late] == 0 || PREFIX(sent[late], n) == entries;
        assert(fenced_acks);
        if
        :: sent[late] != 0 -> c_code { milestone(3, "a fenced leader commits"); }
        :: else
        fi;
        late++
    :: else -> break
    od;
    if
    :: prom[r] > 1 -> c_code { milestone(4, "a second leader commits"); }
    :: else
    fi;
    if
    :: based[r] > 0 -> c_code { milestone(5, "a commit in a changed configuration"); }
    :: else
    fi;
    if
    :: target[r] != 0 -> c_code { milestone(6, "a commit while a set changes"); }
    :: else
    fi;
    if
    :: conf[based[r]] & B_ACTIVE -> c_code { milestone(7, "a commit led from the other site"); }
    :: else
    fi
}

inline commit(r, n)
{
    com[r] = n;
    told[prom[r]] = n;
    entries = PREFIX(log[r], n);
    printf("R%d, leader of epoch %d, commits [%o]\n", r, prom[r], entries);
#ifdef PROMOTION
    if
    :: GIVEN_UP(r) ->
        /* On Acks from before the fence, so those who vowed have it: it is in the list. */
        loss_listed = PREFIX(listed, n) == entries;
        assert(loss_listed);
        c_code { milestone(17, "a leader that was given up commits what is listed"); }
    :: else -> judge_commit(r, n)
    fi
#else
    judge_commit(r, n)
#endif
}

/* D2, T8: a crash loses what is not on disk, and every role. The commit index is relearned. */
inline crash(r)
{
    crashes--;
    printf("R%d crashes and restarts: log [%o], promise %d\n", r, dlog[r], dprom[r]);
    if
    :: log[r] != dlog[r] || prom[r] != dprom[r] ->
        c_code { milestone(8, "a crash loses what was not on disk"); }
    :: else
    fi;
#ifdef BUG_T8
    if
    :: role[r] == LEADER && key == prom[r] ->
        resumed = 1;
        log[r] = dlog[r]; com[r] = 0;
        sent[prom[r]] = log[r];
        vow[r] = LENGTH(log[r]);
        size = 0
    :: else -> size = 1
    fi;
    if
    :: size -> end_role(r); prom[r] = dprom[r]; log[r] = dlog[r]; com[r] = 0; vow[r] = 0
    :: else
    fi;
#else
    end_role(r);
    prom[r] = dprom[r]; log[r] = dlog[r]; com[r] = 0; vow[r] = 0;
#endif
#ifdef BUG_D6
    /* A disk that was lost comes back empty under its old id. */
    prom[r] = 0; dprom[r] = 0; log[r] = 0; dlog[r] = 0;
#endif
    if
    :: crashes == 0 ->
        late = 0;
        do
        :: late < N -> persist(late); late++
        :: else -> break
        od
    :: else
    fi
}

#if CHANGES > 0
/* S1: joint from here on. C' always holds the leader and never falls below copies_min (S6). */
#define MAY_CHANGE(r, c) (role[r] == LEADER && target[r] == 0 && rev < CHANGES \
    && HAS(c, r) && COPIES_OF(c) >= COPIES)

inline begin_change(r, c)
{
    target[r] = c;
    printf("R%d, leader of epoch %d, begins a change to members {%d}\n", r, prom[r], c & SITES)
}

/* S2: everything up to max(commit, EpochStart) is on W(C'). */
#define COVER(r) (com[r] > START_OF(log[r], prom[r]) -> com[r] : START_OF(log[r], prom[r]))
#ifdef BUG_S2
#define IS_COVERED(r) true
#else
#define IS_COVERED(r) (WRITE_QUORUM(target[r], ACKED(prom[r], COVER(r))))
#endif

/* S4: also again and again, until the outcome is certain. What can never pass need not be sent. */
#ifdef BUG_E4
#define MAY_PASS(r) (posted_epoch != prom[r])
#else
#define MAY_PASS(r) (posted == 0 && based[r] == rev && prom[r] == key)
#endif

inline ask_etcd(r)
{
    asked[r] = 1;
    posted = target[r];
    posted_epoch = prom[r];
    posted_rev = based[r];
    printf("R%d asks etcd for members {%d}\n", r, target[r] & SITES)
}

/* E4: compares the leader key and the configuration's own revision. */
#ifdef BUG_E4
#define MAY_ARRIVE (posted != 0 && posted_rev == rev)
#elif defined(BUG_E4_REVISION)
#define MAY_ARRIVE (posted != 0 && posted_epoch == key && rev < CHANGES)
#else
#define MAY_ARRIVE (posted != 0 && posted_rev == rev && posted_epoch == key)
#endif

inline change_arrives()
{
    rev++;
    conf[rev] = posted;
    maker[rev] = posted_epoch;
    printf("etcd: configuration %d has members {%d}\n", rev, posted & SITES);
    if
    :: !HAS(leads, posted_epoch) ->
        c_code { milestone(9, "a change is made when its leader is gone"); }
    :: else
    fi;
    if
    :: posted & ~conf[rev - 1] & SITES -> c_code { milestone(10, "a replica is admitted"); }
    :: else -> c_code { milestone(11, "a replica is evicted"); }
    fi;
#ifdef BUG_E4_REVISION
    if
    :: stray == 0 -> stray = posted; stray_epoch = posted_epoch
    :: else
    fi;
#endif
    posted = 0; posted_epoch = 0; posted_rev = 0
}

/* S4: the answer, or a later read that still finds the own epoch in the leader key, shows that it
 * was made: only C' counts. The very same C' made by another leader is no success. */
#ifdef BUG_S4_SEEN
#define HAS_PASSED(r) (target[r] != 0 && based[r] < rev && conf[based[r] + 1] == target[r])
#else
#define HAS_PASSED(r) (asked[r] && based[r] < rev && maker[based[r] + 1] == prom[r])
#endif

inline adopt(r)
{
    based[r] = based[r] + 1;
    target[r] = 0;
    asked[r] = 0;
    printf("R%d goes by configuration %d\n", r, based[r])
}
#endif

#ifdef SWITCH
/* E5: the other site becomes active and the leader key goes, in one transaction that compares the
 * configuration's revision. A majority of the target's set makes copies_min copies. */
#ifdef BUG_E5
#define MAY_SWITCH(c) (rev < CHANGES && (conf[c] & B_ACTIVE) == 0 \
    && MAJORITY(COUNT(conf[c] & SITE_B)) >= COPIES)
#else
#define MAY_SWITCH(c) (rev < CHANGES && (conf[c] & B_ACTIVE) == 0 && (c) == rev \
    && MAJORITY(COUNT(conf[c] & SITE_B)) >= COPIES)
#endif

inline switch_site(c)
{
    rev++;
    conf[rev] = conf[c] | B_ACTIVE;
    key = 0;
    forget_posted();
    printf("etcd: site B is active in configuration %d, the leader key is gone\n", rev);
    c_code { milestone(12, "the site is switched"); }
}
#endif

#ifdef PROMOTION
/* X4: nobody leads anew while this key stands there. Only where the standby was not in sync. */
#define MAY_TAKE_KEY (fence_epoch == 0 && last < E && rev < CHANGES \
    && (conf[rev] & B_ACTIVE) == 0 && MAJORITY(COUNT(conf[rev] & SITE_B)) < COPIES)

inline take_key()
{
    last++;
    key = last;
    forget_posted();
    fence_epoch = last;
    printf("a promotion takes the leader key: epoch %d\n", last)
}

#define MAY_VOW(r) (fence_epoch != 0 && (conf[rev] & B_ACTIVE) == 0 && dprom[r] == fence_epoch \
    && !HAS(vowed, r))

inline vow_fenced(r)
{
    vowed = vowed | (1 << r);
    if
    :: HAS(SITE_A, r) && IS_GREATER(dlog[r], listed) -> listed = dlog[r]
    :: else
    fi;
    printf("R%d vows, for the promotion, log [%o]\n", r, dlog[r])
}

#ifdef BUG_X4_FENCE
#define IS_FENCED true
#else
#define IS_FENCED TAKEOVER_QUORUM(conf[rev], vowed)
#endif
#ifdef BUG_X4_KEY
#define KEY_IS_OURS true
#else
#define KEY_IS_OURS (key == fence_epoch)
#endif
#define MAY_PROMOTE (fence_epoch != 0 && rev < CHANGES && (conf[rev] & B_ACTIVE) == 0 \
    && KEY_IS_OURS && (vowed & SITE_B) != 0 && IS_FENCED)

/* The survivors hold all that any of them knows to be committed: those who know all of it, and
 * those whose log ends in the last epoch and reaches it. What one survivor lacks may be lost, since
 * it may lead: it must be in the list. */
#define SURVIVES(r, committed, epoch) (com[r] == committed \
    || (LAST_EPOCH(dlog[r]) == epoch && LENGTH(dlog[r]) >= committed))

inline promote()
{
    size = 0;
    entries = 0;
    at = 0;
    do
    :: at < N ->
        if
        :: HAS(vowed & SITE_B, at) ->
            size = (com[at] > size -> com[at] : size);
            entries = (LAST_EPOCH(dlog[at]) > entries -> LAST_EPOCH(dlog[at]) : entries)
        :: else
        fi;
        at++
    :: else -> break
    od;
    rev++;
    conf[rev] = B_ACTIVE;
    at = 0;
    do
    :: at < N ->
        if
        :: HAS(vowed & SITE_B, at) && SURVIVES(at, size, entries) ->
            conf[rev] = conf[rev] | (1 << at)
        :: else
        fi;
        at++
    :: else -> break
    od;
    key = 0;
    forget_posted();
    printf("etcd: site B is active with members {%d}, with loss\n", conf[rev] & SITES);
    c_code { milestone(13, "a promotion with loss"); };
    late = 1;
    do
    :: late <= E ->
        at = 0;
        do
        :: at < N ->
            if
            :: HAS(conf[rev], at) ->
                size = 1;
                do
                :: size <= LENGTH(settled[late]) ->
                    if
                    :: PREFIX(dlog[at], size) != PREFIX(settled[late], size) ->
                        loss_listed = PREFIX(listed, LENGTH(settled[late])) == settled[late];
                        assert(loss_listed);
                        settled[late] = PREFIX(settled[late], size - 1);
                        c_code { milestone(14, "an acknowledged entry is given up, and listed"); }
                    :: else -> size++
                    fi
                :: else -> break
                od
            :: else
            fi;
            at++
        :: else -> break
        od;
        late++
    :: else -> break
    od;
    skip
}

/* A replica of the new site that the promotion did not reach may know of commits that were given
 * up. When the new leader's log says otherwise it stops (M2), and counts for nothing before. */
#define MUST_STOP(r, epoch) ((conf[rev] & B_ACTIVE) && HAS(SITE_B, r) && !HAS(vowed, r) \
    && epoch > fence_epoch \
    && PREFIX(log[r], LEAST(com[r], LENGTH(sent[epoch]))) \
        != PREFIX(sent[epoch], LEAST(com[r], LENGTH(sent[epoch]))))
#else
#define MUST_STOP(r, epoch) false
#endif

#if READS > 0
/* R1: answered after Acks from W(C) to an Append sent after the inquiry came in. */
inline inquire(r)
{
    reads--;
    size = 0;
    at = 1;
    do
    :: at <= E -> size = (LENGTH(settled[at]) > size -> LENGTH(settled[at]) : size); at++
    :: else -> break
    od;
    inquiry[r] = size + 1;
#ifndef BUG_R1
    heard[r] = 0;
#endif
    heard[r] = heard[r] | (1 << r);
    printf("R%d, leader of epoch %d, is asked; acknowledged so far: %d\n", r, prom[r], size)
}

#ifdef BUG_R1
#define MAY_ANSWER_ROUND(r, f) (role[r] == LEADER && prom[f] == prom[r] && reads >= 0)
#else
#define MAY_ANSWER_ROUND(r, f) (role[r] == LEADER && inquiry[r] != 0 && prom[f] == prom[r])
#endif

/* T6: not before EpochStart is committed. S1: by both quorums while a set changes. */
#ifdef BUG_T6
#define HAS_STARTED(r) true
#else
#define HAS_STARTED(r) (com[r] >= START_OF(log[r], prom[r]))
#endif
#ifdef BUG_R1_JOINT
#define IS_PROVEN(r) WRITE_QUORUM(conf[based[r]], heard[r])
#else
#define IS_PROVEN(r) ON_QUORUM(r, heard[r])
#endif
#define MAY_ANSWER_READ(r) (inquiry[r] != 0 && HAS_STARTED(r) && IS_PROVEN(r))

inline answer_read(r)
{
    printf("R%d, leader of epoch %d, answers from its first %d entries\n", r, prom[r], com[r]);
    current_read = com[r] >= inquiry[r] - 1;
    assert(current_read);
    inquiry[r] = 0;
    heard[r] = 0;
    c_code { milestone(15, "a read is answered"); }
}
#define ROUND(f) \
    :: d_step { MAY_ANSWER_ROUND(me, f) && !HAS(heard[me], f) -> \
        printf("R%d answers a round of R%d\n", f, me); heard[me] = heard[me] | (1 << f) }
#endif

#define FENCE(epoch) \
    :: d_step { epoch <= last && prom[me] < epoch -> fence(me, epoch) }
#define HEAR(f) \
    :: d_step { role[me] == TAKEOVER && !HAS(got[me], f) && !GIVEN_UP(f) \
        && HAS_PROMISED(f, prom[me]) -> \
        hear_promise(me, f) }
#define APPEND(epoch, m) \
    :: d_step { sent[epoch] != 0 && m <= LENGTH(sent[epoch]) && prom[me] <= epoch \
        && !(GIVEN_UP(me) && epoch > fence_epoch) && !MUST_STOP(me, epoch) \
        && (prom[me] < epoch || role[me] == FOLLOWER) -> append(me, epoch, m) }
#define COMMIT(n) \
    :: d_step { MAY_COMMIT(me, n) -> commit(me, n) }
#define TOGGLE(x) \
    :: d_step { HAS(TOGGLED, x) && x != me && MAY_CHANGE(me, (conf[based[me]] ^ (1 << x))) -> \
        begin_change(me, (conf[based[me]] ^ (1 << x))) }
#define REPLACE(old, new) \
    :: d_step { role[me] == LEADER && old != me && HAS(conf[based[me]], old) \
        && !HAS(conf[based[me]], new) \
        && MAY_CHANGE(me, (conf[based[me]] ^ (1 << old) ^ (1 << new))) -> \
        begin_change(me, (conf[based[me]] ^ (1 << old) ^ (1 << new))) }
#define DROP(site) \
    :: d_step { HAS(ACTIVE(conf[based[me]]), me) && (conf[based[me]] & (site)) != 0 \
        && MAY_CHANGE(me, (conf[based[me]] & ~(site))) -> \
        begin_change(me, (conf[based[me]] & ~(site))) }
#define WIN(c) \
    :: d_step { last < E && IN_TURN(me) && MAY_WIN(me, c) -> \
        win(me, c) }

proctype replica(byte me)
{
    do
#ifdef BUG_E2
    WIN(0) WIN(1)
#else
    WIN(rev)
#endif
    FENCE(1) FENCE(2)
#if E > 2
    FENCE(3)
#endif
#if E > 3
    FENCE(4)
#endif
    HEAR(0) HEAR(1)
#if N > 2
    HEAR(2)
#endif
#if N > 3
    HEAR(3)
#endif
    :: d_step { MAY_LEAD(me) -> lead(me) }
    :: d_step { MAY_PROPOSE(me) -> propose(me) }
    APPEND(1, 0) APPEND(1, 1) APPEND(1, 2)
    APPEND(2, 0) APPEND(2, 1) APPEND(2, 2)
#if LEN > 2
    APPEND(1, 3) APPEND(2, 3)
#endif
#if LEN > 3
    APPEND(1, 4) APPEND(2, 4)
#endif
#if E > 2
    APPEND(3, 0) APPEND(3, 1) APPEND(3, 2)
#if LEN > 2
    APPEND(3, 3)
#endif
#if LEN > 3
    APPEND(3, 4)
#endif
#endif
#if E > 3
    APPEND(4, 0) APPEND(4, 1) APPEND(4, 2)
#if LEN > 2
    APPEND(4, 3)
#endif
#if LEN > 3
    APPEND(4, 4)
#endif
#endif
    COMMIT(1) COMMIT(2)
#if LEN > 2
    COMMIT(3)
#endif
#if LEN > 3
    COMMIT(4)
#endif
#if READS > 0
    :: d_step { role[me] == LEADER && reads > 0 && inquiry[me] == 0 -> inquire(me) }
    ROUND(0) ROUND(1)
#if N > 2
    ROUND(2)
#endif
    :: d_step { MAY_ANSWER_READ(me) -> answer_read(me) }
#endif
#ifdef PROMOTION
    :: d_step { MAY_VOW(me) -> vow_fenced(me) }
    :: d_step { sent[E] != 0 && prom[me] <= E && MUST_STOP(me, E) ->
        c_code { milestone(16, "a replica that a promotion did not reach must stop"); } }
#endif
#if CRASHES > 0
    :: d_step { crashes > 0 && (log[me] != dlog[me] || prom[me] != dprom[me] || vow[me] != 0) ->
        printf("R%d's writes are on disk\n", me); persist(me) }
    :: d_step { crashes > 0 -> crash(me) }
#endif
#if CHANGES > 0
#ifdef TOGGLED
    TOGGLE(0) TOGGLE(1)
#if N > 2
    TOGGLE(2)
#endif
#if N > 3
    TOGGLE(3)
#endif
#endif
#ifdef REPLACES
    REPLACE(0, 3) REPLACE(1, 3) REPLACE(2, 3)   /* S6: another disk takes the place of one */
#endif
#ifdef DROPS
    DROP(SITE_A) DROP(SITE_B)
#endif
    :: d_step { role[me] == LEADER && target[me] != 0 && MAY_PASS(me) && IS_COVERED(me) ->
        ask_etcd(me) }
    /* S4: a change may be given up only if it was never sent. */
#ifdef BUG_S4
    :: d_step { role[me] == LEADER && target[me] != 0 ->
#else
    :: d_step { role[me] == LEADER && target[me] != 0 && !asked[me] ->
#endif
        printf("R%d gives its change up\n", me); target[me] = 0; asked[me] = 0 }
    :: d_step { role[me] == LEADER && HAS_PASSED(me) -> adopt(me) }
#endif
    od
}

/* The first leader is R0: by symmetry it might as well be called so. Then this process is etcd. */
init
{
    atomic {
        d_step { conf[0] = START; win(0, 0) };
        run replica(0);
        run replica(1);
#if N > 2
        run replica(2);
#endif
#if N > 3
        run replica(3);
#endif
    }
#if CHANGES > 0
    do
    :: d_step { MAY_ARRIVE -> change_arrives() }
#ifdef BUG_E4_REVISION
    :: d_step { stray != 0 && stray_epoch == key && rev < CHANGES ->
        rev++; conf[rev] = stray; maker[rev] = stray_epoch;
        printf("etcd: a late copy makes configuration %d with members {%d}\n", rev, stray);
        stray = 0 }
#endif
#ifdef SWITCH
    :: d_step { MAY_SWITCH(0) -> switch_site(0) }
    :: d_step { MAY_SWITCH(1) -> switch_site(1) }
#endif
#ifdef PROMOTION
    :: d_step { MAY_TAKE_KEY -> take_key() }
    :: d_step { MAY_PROMOTE -> promote() }
#endif
    od
#endif
}
