"""Each thing that must not be is planted in a small history, and found: that and nothing else."""
import unittest

from checker import check
from history import History

# Two records acknowledged, read by all, and there at the end.
SOUND = """
s t-0 a 0
s t-0 a 1
a t-0 a 0 0 1.0
a t-0 a 1 1 2.0
o reader uncommitted
p reader t-0 0
r reader t-0 0 a 0
r reader t-0 1 a 1
o last final
p last t-0 0
r last t-0 0 a 0
r last t-0 1 a 1
e last t-0 2 9.0
"""


def found(text):
    lines = [line for line in text.strip().splitlines(keepends=True) if line.strip()]
    lines[-1] = lines[-1].rstrip("\n") + "\n"
    return check(History().read(lines)).found()


def without(line, text=SOUND):
    assert line + "\n" in text, line
    return text.replace(line + "\n", "")


def changed(line, to, text=SOUND):
    assert line + "\n" in text, line
    return text.replace(line + "\n", to + "\n")


class Judging(unittest.TestCase):
    def holds(self, text):
        self.assertEqual({}, found(text))

    def finds(self, text, **expected):
        self.assertEqual(expected, found(text))

    def test_a_sound_history_holds(self):
        self.holds(SOUND)

    def test_a_record_of_unknown_fate_may_be_there_or_not(self):
        unknown = SOUND + "s t-0 a 2\nu t-0 a 2 3.0 timed out\n"
        self.holds(unknown)
        self.holds(changed("e last t-0 2 9.0", "r last t-0 2 a 2\ne last t-0 3 9.0", unknown))

    def test_an_acknowledged_record_that_is_absent_is_lost(self):
        self.finds(SOUND + "s t-0 a 2\na t-0 a 2 2 3.0\n", lost=1)

    def test_an_acknowledged_record_that_is_passed_over_at_the_end_is_lost(self):
        self.finds(without("r last t-0 0 a 0"), lost=1, vanished=1, skipped=1)

    def test_another_record_in_place_of_an_acknowledged_one_is_a_loss(self):
        text = without("r reader t-0 1 a 1", changed("r last t-0 1 a 1", "r last t-0 1 b 0", SOUND + "s t-0 b 0\n"))
        self.finds(text, lost=1, inconsistent=1)

    def test_a_duplicate_that_was_acknowledged_without_an_offset_must_be_somewhere(self):
        self.holds(changed("a t-0 a 1 1 2.0", "w t-0 a 1 2.0"))
        self.finds(SOUND + "s t-0 a 2\nw t-0 a 2 3.0\n", lost=1)

    def test_a_record_at_two_offsets_is_duplicated(self):
        self.finds(changed("e last t-0 2 9.0", "r last t-0 2 a 1\ne last t-0 3 9.0"), duplicated=1)

    def test_an_acknowledgement_elsewhere_is_a_duplicate_and_a_loss(self):
        self.finds(changed("a t-0 a 1 1 2.0", "a t-0 a 1 7 2.0"), duplicated=1, lost=1)

    def test_a_producer_that_gave_up_may_double_its_records_but_loses_none(self):
        text = changed("e last t-0 2 9.0", "r last t-0 2 a 1\ne last t-0 3 9.0") + "s t-1 a 0\nu t-1 a 0 3.0 timed out\ne last t-1 0 9.0\n"
        self.holds(text)
        self.finds(text + "s t-0 a 2\na t-0 a 2 3 4.0\n", lost=1)

    def test_a_read_that_differs_from_another_is_inconsistent(self):
        self.finds(changed("r reader t-0 1 a 1", "r reader t-0 1 b 0", SOUND + "s t-0 b 0\n"), inconsistent=1)

    def test_a_read_of_what_is_not_there_at_the_end_was_not_committed(self):
        self.finds(SOUND + "s t-0 a 2\nu t-0 a 2 3.0 timed out\nr reader t-0 2 a 2\n", vanished=1)

    def test_a_later_record_before_an_earlier_one_is_reordered(self):
        text = SOUND
        for line in ("r reader t-0 0 a 0", "r last t-0 0 a 0"):
            text = changed(line, line.replace("a 0", "a 2"), text)
        text = without("a t-0 a 0 0 1.0", text) + "s t-0 a 2\n"
        self.finds(text, reordered=1)

    def test_acknowledgements_out_of_order_are_reordered(self):
        text = changed("a t-0 a 0 0 1.0", "a t-0 a 0 1 1.0", changed("a t-0 a 1 1 2.0", "a t-0 a 1 0 2.0"))
        self.finds(text, reordered=1, lost=2, inconsistent=2, duplicated=2)

    def test_two_producers_do_not_order_each_other(self):
        self.holds(SOUND.replace(" a 1", " b 0"))

    def test_a_reader_that_goes_back_is_not_monotonic(self):
        self.finds(SOUND + "r reader t-0 0 a 0\n", non_monotonic_read=1)

    def test_a_reader_that_passes_over_a_record_skips_it(self):
        self.finds(without("r reader t-0 0 a 0"), skipped=1)

    def test_a_reader_that_begins_later_skips_nothing(self):
        self.holds(changed("p reader t-0 0", "p reader t-0 1", without("r reader t-0 0 a 0")))

    def test_an_offset_where_there_never_was_a_record_is_not_skipped(self):
        text = SOUND
        for line in ("r reader t-0 1 a 1", "r last t-0 1 a 1", "a t-0 a 1 1 2.0"):
            text = changed(line, line.replace("1 a 1", "2 a 1").replace("a 1 1 2.0", "a 1 2 2.0"), text)
        self.holds(changed("e last t-0 2 9.0", "e last t-0 3 9.0", text))

    def test_the_last_reader_must_come_to_the_end(self):
        self.finds(without("e last t-0 2 9.0"), unfinished=1)
        self.finds(SOUND.split("o last final")[0], unfinished=1)

    def test_a_record_nobody_sent_is_a_phantom(self):
        self.finds(without("s t-0 a 1"), phantom=1)

    def test_a_record_whose_producer_was_refused_is_a_phantom(self):
        self.finds(changed("a t-0 a 1 1 2.0", "f t-0 a 1 2.0 not enough replicas"), phantom=1)

    def test_a_reader_that_is_told_of_no_such_offset_is_reset(self):
        self.finds(SOUND + "x reader t-0 2 3.0 out of range\n", reset=1)

    def test_a_client_that_saw_what_cannot_be_is_told_of(self):
        self.finds(SOUND + "v 3.0 t-0 at 7: bytes nobody wrote\n", broken=1)

    def test_half_a_line_at_the_end_is_left_out(self):
        self.assertEqual({}, check(History().read((SOUND.strip() + "\na t-0 a 1").splitlines(keepends=True))).found())

    # ---- groups ----

    GROUP = SOUND + "o m group:g\np m t-0 0\nr m t-0 0 a 0\nr m t-0 1 a 1\nc g t-0 1 3.0 3.1 m\nc g t-0 2 4.0 4.1 m\n"

    def test_a_group_that_reads_and_commits_holds(self):
        self.holds(self.GROUP + "g g t-0 2 5.0 5.1 n\n")

    def test_an_offset_below_an_acknowledged_commit_is_stale(self):
        self.finds(self.GROUP + "g g t-0 1 5.0 5.1 n\n", stale_commit=1)

    def test_no_offset_at_all_after_a_commit_is_stale(self):
        self.finds(self.GROUP + "g g t-0 -1 5.0 5.1 n\n", stale_commit=1)

    def test_who_asked_before_the_commit_was_acknowledged_may_be_told_either(self):
        self.holds(self.GROUP + "g g t-0 1 4.05 5.1 n\n")
        self.holds(self.GROUP + "g g t-0 2 4.05 5.1 n\n")

    def test_an_older_commit_that_is_acknowledged_later_does_not_hide_the_newer(self):
        self.finds(self.GROUP + "c g t-0 1 5.0 5.1 m\ng g t-0 1 6.0 6.1 n\n", stale_commit=1)

    def test_a_commit_behind_the_end_is_found(self):
        self.finds(self.GROUP + "c g t-0 3 5.0 5.1 m\n", stale_commit=1)

    def test_a_record_that_no_member_was_given_is_unread(self):
        self.finds(changed("p m t-0 0", "p m t-0 1", without("r m t-0 0 a 0", self.GROUP)), unread=1)

    def test_what_is_not_committed_yet_need_not_be_read(self):
        self.holds(without("c g t-0 2 4.0 4.1 m", without("r m t-0 1 a 1", self.GROUP)))


if __name__ == "__main__":
    unittest.main()
