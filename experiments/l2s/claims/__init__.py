"""What L2S's paper claims, figure by figure.

No number was fitted to any of it; which of two AlexNets the paper means was chosen with Fig. 1 in view.
"""

from __future__ import annotations

from ....envs.l2s.scenarios import GROUPS
from ...claims.leaderboard import Leaderboard, of_groups
from ...claims.statement import Claim, Exhibit
from . import measures, pictures, recorded

ILLUSTRATION = "an illustration: it says how the system works, and measures nothing"

SECTION_1 = Exhibit(
    "sec1", "Sec. I and IV-A", "Figures that the paper cites",
    untested="over 50 % of devices with processors from before 2014, multiplications for over 90 % of a layer's time: "
    "figures of its references, about which the paper measures nothing",
)  # fmt: skip

FIG_1 = Exhibit(
    "fig1", "Fig. 1", "Delay of a round by partition point, AlexNet at 100 Mbit/s",
    (
        Claim(
            "fig1-best-point", "Behind the third pool is AlexNet's best partition point at 100 Mbit/s.",
            "pool3 (here called pool5: pools have the number of the convolution in front)", measures.third_pool,
            fitted=True,
            reason="with devices' inputs the input itself is the best to send: the device is fast",
        ),
    ),
    pictures.fig_1,
)  # fmt: skip

FIG_4 = Exhibit(
    "fig4", "Fig. 4", "KL divergence by partition point, AlexNet",
    (
        Claim(
            "fig4-grows", "The KL divergence becomes larger the later the partition point is.",
            "grows with every point", recorded.grows_with_the_cut, "trained", alike=True,
            reason="it grows over the network as a whole, but falls behind the last pool, on all three seeds",
        ),
    ),
    pictures.fig_4,
)  # fmt: skip

FIG_7 = Exhibit(
    "fig7", "Fig. 7", "Change of the weights in 100 rounds",
    (
        Claim(
            "fig7-change", "In 100 rounds weights change by a tiny share of what they change until 97 % accuracy.",
            "about 0.05 %", recorded.change_in_100_rounds, "trained", alike=True,
            reason="weights of a training from scratch move fastest at first: 100 of 3000 rounds are a fifth of the "
            "way here, of a small network that ends at 45 % of CIFAR-10's test images and not at 97 %",
        ),
    ),
    pictures.fig_7,
)  # fmt: skip

FIG_8 = Exhibit(
    "fig8", "Fig. 8", "Accuracy and training time by period of synchronisation, ResNet-34",
    (
        Claim(
            "fig8-time", "A longer period of synchronisation can take significantly less training time.",
            "less time the longer the period", measures.longer_periods_take_less,
            reason="it does take less, but not by half a percent a step: even at every change synchronisation is a "
            "small part of the training time, as L2S soon agrees on a point",
        ),
        Claim(
            "fig8-accuracy", "A longer period of synchronisation gives a lower accuracy.", "lower accuracy",
            recorded.longer_periods_cost_accuracy, "trained", alike=True,
            reason="it does where the cut moves in every round; with L2S's own moves, which are few, five seeds leave "
            "it open",
        ),
        Claim(
            "fig8-similar", "Synchronising every 100 rounds is about as accurate as in every round.",
            "similar accuracy (read as: 2.14 points lower at most)", recorded.hundred_is_as_accurate, "trained",
            alike=True,
        ),
        Claim(
            "fig8-overhead", "A period of 100 rounds saves over 70 % of what synchronisation takes.", "> 70 %",
            measures.hundred_saves_synchronisation,
            reason="entering an adaptation synchronises, too, whatever the period: longer ones save hardly more",
        ),
    ),
    pictures.fig_8,
)  # fmt: skip

FIG_10 = Exhibit(
    "fig10", "Fig. 10", "Error of the predicted edge delay by round",
    (
        Claim(
            "fig10-error", "From about 40 rounds on L2S predicts the edge training delay accurately.",
            "accurate in about 40 rounds (read as: an error of 10 % at most in rounds 41 to 100)",
            measures.predicts_after_40_rounds,
        ),
    ),
    pictures.fig_10,
)  # fmt: skip

FIG_11 = Exhibit(
    "fig11", "Fig. 11", "Delay of a round while L2S learns, 60 Mbit/s",
    (
        Claim(
            "fig11-converges", "L2S's average delay converges to Oracle's in about 50 rounds.",
            "converged in about 50 rounds (read as: unforced rounds 51 to 100 within 5 %)",
            measures.converges_in_50_rounds,
        ),
    ),
    pictures.fig_11,
)  # fmt: skip

FIG_12 = Exhibit(
    "fig12", "Fig. 12", "Delay of a round by transmission speed",
    (
        Claim(
            "fig12-slow", "On a slow link (5 Mbit/s here) L2S's delay is close to training on the device alone (PDT).",
            "close to PDT (read as: within 5 %)", measures.close_to_pdt_when_slow,
        ),
        Claim(
            "fig12-between", "At moderate speeds L2S finds cuts that beat both PDT and the cut fixed at P^c (FPT).",
            "below both at some speed", measures.below_both_in_between,
            reason="ResNet-34's best cut is P^c itself, or hardly faster, at every speed at which cutting pays",
        ),
        Claim(
            "fig12-fast", "L2S is still faster than FPT when the link is fast (100 and 200 Mbit/s).", "below FPT",
            measures.below_fpt_when_fast,
            reason="ResNet-34's best cut at these rates is P^c itself, so that learning it can only cost; "
            "at 200 Mbit/s so is AlexNet's",
        ),
        Claim(
            "fig12d-edge", "L2S saves more when the edge server is faster: with its GPU more than with its CPU.",
            "more with the GPU", measures.faster_edges_gain_more,
        ),
    ),
    pictures.fig_12,
)  # fmt: skip

FIG_13 = Exhibit(
    "fig13", "Fig. 13", "Accuracy and total training time of L2S, L2S-FWS and PDT",
    (
        Claim(
            "fig13a-accuracy", "L2S's training accuracy is only a little lower than PDT's.", "2.14 % lower on average",
            recorded.accuracy_lost, "trained", alike=True,
        ),
        Claim(
            "fig13b-fast", "At 100 Mbit/s L2S reduces the total training time by more than a third.", "> 33.3 %",
            measures.saves_a_third("gpu-100"),
        ),
        Claim(
            "fig13b-slow", "At 60 Mbit/s L2S reduces the total training time by more than a third.", "> 33.3 %",
            measures.saves_a_third("gpu-60"),
            reason="at 60 Mbit/s messages take what the edge server saves: the best cuts themselves save little more",
        ),
        Claim(
            "fig13b-fws", "Synchronising at every change (L2S-FWS) takes longer than L2S.", "longer",
            measures.full_synchronisation_is_slower,
            reason="it does everywhere, but hardly where L2S soon agrees on a point: synchronisation is a small part "
            "of the training time there",
        ),
    ),
    pictures.fig_13,
)  # fmt: skip

FIG_14 = Exhibit(
    "fig14", "Fig. 14", "Delay saved by privacy constraint P^c, ResNet-34",
    (
        Claim(
            "fig14-privacy", "The larger P^c is, the less L2S saves.", "falls with P^c",
            measures.saves_less_with_more_privacy,
        ),
    ),
    pictures.fig_14,
)  # fmt: skip

FIG_15 = Exhibit(
    "fig15", "Fig. 15", "L2S and privacy-preserving training (PPT), VGG-16",
    (
        Claim(
            "fig15-time", "On a poor link (5 Mbit/s here) L2S takes over 94 % less training time than PPT.", "> 94 %",
            measures.far_below_ppt,
        ),
        Claim(
            "fig15-privacy", "L2S's cut has a larger KL divergence than PPT's, behind the first convolution.", "larger",
            recorded.more_private_than_ppt, "trained", alike=True,
        ),
    ),
    pictures.fig_15,
)  # fmt: skip

FIG_16 = Exhibit(
    "fig16", "Fig. 16", "Total training time with and without forced sampling, 50 runs",
    (
        Claim(
            "fig16-forced", "LinUCB-E, which forces sampling, takes less total time than LinUCB.",
            "less, over 50 runs", measures.escaping_pays,
            reason="at 100 Mbit/s a cut is best on all three networks, LinUCB is never trapped on the device, and "
            "forcing changes nothing; where LinUCB is trapped, LinUCB-E wins (Sec. IV-B)",
        ),
    ),
    pictures.fig_16,
)  # fmt: skip

FIG_17 = Exhibit(
    "fig17", "Fig. 17", "L2S while the link changes, ResNet-34",
    (
        Claim(
            "fig17-drop", "L2S notices that the link has become slow at round 2000, and adapts.",
            "adapts (read as: within 100 rounds)", measures.follows(0),
        ),
        Claim(
            "fig17-recovery", "L2S notices that the link has become fast again at round 4000, and adapts.",
            "adapts (read as: within 100 rounds)", measures.follows(1),
            reason="two cuts are all but equally good at 60 Mbit/s: some seeds never agree on one of them or stay at "
            "one whose delay hardly changes when the link recovers, and learn of it only by a random adaptation",
        ),
        Claim(
            "fig17-accuracy", "The training accuracy keeps increasing during the entire training.", "keeps increasing",
            recorded.accuracy_keeps_growing, "trained", alike=True,
            reason="it grows from each third to the next, but to the last by less than five seeds of a small network "
            "resolve; the trainings are of 3000 rounds on a fluctuating link",
        ),
    ),
    pictures.fig_17,
)  # fmt: skip

TRAP = Exhibit(
    "sec4b", "Sec. IV-B", "LinUCB trapped on the device, where the link becomes fast",
    (
        Claim(
            "sec4b-trap", "LinUCB that has chosen the device alone once stays there for ever; LinUCB-E escapes.",
            "LinUCB is trapped, LinUCB-E is not", measures.linucb_is_trapped,
        ),
    ),
    pictures.trap,
)  # fmt: skip

THEOREM_1 = Exhibit(
    "theorem1", "Theorem 1", "Regret of LinUCB-E by number of rounds",
    (
        Claim(
            "theorem1-regret", "LinUCB-E's regret grows more slowly than the rounds T: as T^0.75 log T at most.",
            "O(T^0.75 log T) for mu = 0.25", measures.regret_is_within_its_bound,
        ),
    ),
    pictures.theorem_1,
)  # fmt: skip

LIGHT = Exhibit(
    "sec1-light", "Sec. I", "What deciding takes",
    (
        Claim(
            "sec1-light", "L2S requires ultra-lightweight computation and minimal storage.",
            "ultra-lightweight (read as: a thousandth of a round at most, and 1 kB)", measures.deciding_is_light,
            "executed",
        ),
    ),
)  # fmt: skip

EXHIBITS: tuple[Exhibit, ...] = (
    SECTION_1,
    LIGHT,
    Exhibit("table1", "Table I", "Methods of DNN partitioning", untested="a table of related work; it has no figures"),
    Exhibit("table2", "Table II", "Key notations", untested="names of quantities; it has no figures"),
    FIG_1,
    Exhibit("fig2", "Fig. 2", "The system", untested=ILLUSTRATION),
    Exhibit(
        "fig3", "Fig. 3", "Intermediate results behind each layer, AlexNet",
        untested="pictures of one image's maps, without figures; Fig. 4 puts numbers to them",
    ),
    FIG_4,
    Exhibit("fig5", "Fig. 5", "Synchronising weights when the cut moves", untested=ILLUSTRATION),
    TRAP,
    Exhibit("fig6", "Fig. 6", "Forced sampling", untested=f"{ILLUSTRATION}; Fig. 16 and Sec. IV-B do"),
    THEOREM_1,
    FIG_7,
    FIG_8,
    Exhibit("fig9", "Fig. 9", "The switch between modes", untested=f"{ILLUSTRATION}; Fig. 17 does"),
    FIG_10,
    FIG_11,
    FIG_12,
    FIG_13,
    FIG_14,
    FIG_15,
    FIG_16,
    FIG_17,
)  # fmt: skip

LEADERBOARD = Leaderboard(
    "l2s",
    of_groups(GROUPS, "constant", "changing"),
    ("l2s", "l2s-probe", "l2s-fws", "linucb-e", "linucb", "d-linucb", "lints", "fpt", "pdt", "neurosurgeon"),
    "oracle",
    seconds_each=0.6,
)
