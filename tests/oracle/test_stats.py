"""The estimators of src/stats against scipy, statsmodels and numpy."""

import ctypes
import itertools
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np
from scipy import stats as oracle
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

SOURCE = Path(os.environ["PRONY_SOURCE"])


class Interval(ctypes.Structure):
    _fields_ = [("value", ctypes.c_double), ("low", ctypes.c_double), ("high", ctypes.c_double)]


class Trend(ctypes.Structure):
    _fields_ = [("score", ctypes.c_double), ("variance", ctypes.c_double)]


def build(folder):
    library = Path(folder) / "stats.so"
    files = sorted(str(path) for path in (SOURCE / "src/stats").glob("*.c"))
    subprocess.run(
        [
            "cc",
            "-std=c17",
            "-D_GNU_SOURCE",
            "-O2",
            "-fPIC",
            "-shared",
            f"-I{SOURCE / 'src'}",
            "-o",
            str(library),
            *files,
            "-lm",
        ],
        check=True,
    )
    return ctypes.CDLL(str(library))


def doubles(values):
    return (ctypes.c_double * max(len(values), 1))(*values)


class Difference(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("value", "error", "freedom")]


class Stats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.c = build(cls.folder.name)
        real, count = ctypes.c_double, ctypes.c_size_t
        pointer = ctypes.POINTER(real)
        for name, arguments in {
            "stats_mean": [pointer, count],
            "stats_deviation": [pointer, count],
            "stats_median": [pointer, count],
            "stats_quantile": [pointer, count, real],
            "stats_zone_p": [pointer, count, real],
            "stats_slope": [pointer, count],
            "student_t_cdf": [real, real],
            "student_t_quantile": [real, real],
        }.items():
            function = getattr(cls.c, name)
            function.argtypes, function.restype = arguments, real
        cls.c.stats_trend_of.argtypes, cls.c.stats_trend_of.restype = [pointer, count], Trend
        cls.c.stats_trend_falling_p.argtypes = [Trend]
        cls.c.stats_trend_falling_p.restype = real
        cls.c.stats_mean_interval.argtypes = [pointer, count, real]
        cls.c.stats_mean_interval.restype = Interval
        cls.c.stats_welch.argtypes = [pointer, count, pointer, count]
        cls.c.stats_welch.restype = Difference
        cls.c.stats_difference_interval.argtypes = [ctypes.POINTER(Difference), real]
        cls.c.stats_difference_interval.restype = Interval
        cls.c.stats_difference_zone_p.argtypes = [ctypes.POINTER(Difference), real]
        cls.c.stats_difference_zone_p.restype = real
        cls.c.stats_holm.argtypes = [pointer, count, pointer]
        cls.random = np.random.default_rng(20260131)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def close(self, ours, theirs, relative=1e-9):
        self.assertLessEqual(abs(ours - theirs), relative * abs(theirs) + 1e-15, (ours, theirs))

    def test_trend(self):
        """Kendall's score and Theil and Sen's slope against scipy."""
        for size in (2, 3, 5, 8, 20, 57):
            for ties in (0, 1, 3):
                values = self.random.normal(size=size) - np.arange(size) * 0.1
                if ties:
                    values = np.round(values * 3 / ties)
                trend = self.c.stats_trend_of(doubles(values), size)
                pairs = size * (size - 1) / 2
                equal = np.unique(values, return_counts=True)[1]
                tied = (equal * (equal - 1) // 2).sum()
                expected = oracle.kendalltau(np.arange(size), values).statistic
                if pairs > tied:
                    self.close(trend.score, expected * np.sqrt(pairs * (pairs - tied)), 1e-9)
                self.close(
                    self.c.stats_slope(doubles(values), size),
                    oracle.theilslopes(values, np.arange(size)).slope,
                )

    def test_trend_is_a_test(self):
        """Its variance is that of all orders, and its p value the exact one's, nearly."""
        for values in ([1, 2, 3, 4, 5, 6, 7], [1, 1, 2, 3, 3, 3, 4]):
            orders = [list(order) for order in itertools.permutations(values)]
            trends = [self.c.stats_trend_of(doubles(order), len(order)) for order in orders]
            scores = np.array([trend.score for trend in trends])
            self.close(trends[0].variance, (scores**2).mean(), 1e-9)
        for size in (10, 20, 40):
            values = self.random.normal(size=size) - np.arange(size) * 0.05
            trend = self.c.stats_trend_of(doubles(values), size)
            exact = oracle.kendalltau(
                np.arange(size), values, alternative="less", method="exact"
            ).pvalue
            if trend.score < 0:
                self.assertLess(abs(self.c.stats_trend_falling_p(trend) - exact), 0.01)
        rising = self.c.stats_trend_of(doubles([1.0, 2.0, 3.0]), 3)
        self.assertEqual(self.c.stats_trend_falling_p(rising), 1)

    def test_student_distribution(self):
        for freedom in (1, 2, 3, 4, 5, 7, 9, 19, 30, 99, 1000, 1e5, 2.5):
            for t in (-1e4, -40, -8.5, -3, -1, -0.1, -1e-6, 0, 1e-6, 0.5, 2, 2.776, 12, 300):
                self.close(self.c.student_t_cdf(t, freedom), oracle.t.cdf(t, freedom), 1e-8)

    def test_student_quantile(self):
        for freedom in (1, 2, 3, 4, 5, 7, 9, 19, 30, 99, 1000, 1e5):
            for p in (1e-6, 1e-3, 0.005, 0.025, 0.1, 0.3, 0.5, 0.75, 0.95, 0.975, 0.9995):
                ours, theirs = self.c.student_t_quantile(p, freedom), oracle.t.ppf(p, freedom)
                self.assertLessEqual(abs(ours - theirs), 1e-8 * abs(theirs) + 1e-9)

    def test_moments_and_quantiles(self):
        for size in (1, 2, 3, 10, 37, 500):
            values = np.sort(self.random.lognormal(0, 1.5, size))
            array = doubles(values)
            self.close(self.c.stats_mean(array, size), values.mean())
            self.close(self.c.stats_median(array, size), np.median(values))
            if size > 1:
                self.close(self.c.stats_deviation(array, size), values.std(ddof=1))
            for fraction in (0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1):
                self.close(
                    self.c.stats_quantile(array, size, fraction), np.quantile(values, fraction)
                )

    def test_paired_interval(self):
        for size in (2, 3, 6, 10, 40):
            ratios = self.random.normal(0.1, 0.05, size)
            ours = self.c.stats_mean_interval(doubles(ratios), size, 0.95)
            low, high = oracle.t.interval(0.95, size - 1, ratios.mean(), oracle.sem(ratios))
            self.close(ours.value, ratios.mean())
            self.close(ours.low, low, 1e-8)
            self.close(ours.high, high, 1e-8)
            low, high = DescrStatsW(ratios).tconfint_mean(0.05)
            self.close(ours.low, low, 1e-8)
            self.close(ours.high, high, 1e-8)

    def test_zone(self):
        for size in (2, 6, 10):
            for mean in (-0.3, 0.01, 0.03, 0.2):
                values = self.random.normal(mean, 0.02, size)
                center = values.mean()
                edge = 0.02 if center > 0 else -0.02
                expected = oracle.ttest_1samp(values, edge).pvalue if abs(center) > 0.02 else 1
                self.close(self.c.stats_zone_p(doubles(values), size, 0.02), expected, 1e-8)

    def test_welch(self):
        for sizes in ((2, 2), (6, 6), (10, 3), (2, 40)):
            for shift in (-0.3, 0.0, 0.05):
                a = self.random.normal(shift, 0.02, sizes[0])
                b = self.random.normal(0, 0.07, sizes[1])
                ours = self.c.stats_welch(doubles(a), sizes[0], doubles(b), sizes[1])
                theirs = oracle.ttest_ind(a, b, equal_var=False)
                self.close(ours.value, a.mean() - b.mean())
                self.close(ours.freedom, theirs.df)
                interval = self.c.stats_difference_interval(ours, 0.95)
                means = CompareMeans(DescrStatsW(a), DescrStatsW(b))
                for low, high in (
                    theirs.confidence_interval(0.95),
                    means.tconfint_diff(0.05, usevar="unequal"),
                ):
                    self.close(interval.low, low, 1e-8)
                    self.close(interval.high, high, 1e-8)
                edge = 0.02 if ours.value > 0 else -0.02
                expected = oracle.ttest_ind(a - edge, b, equal_var=False).pvalue
                if abs(ours.value) <= 0.02:
                    expected = 1
                self.close(self.c.stats_difference_zone_p(ours, 0.02), expected, 1e-8)

    def test_welch_without_spread(self):
        same = self.c.stats_welch(doubles([1, 1]), 2, doubles([2, 2]), 2)
        interval = self.c.stats_difference_interval(same, 0.95)
        self.assertEqual((interval.low, interval.high), (-1, -1))
        self.assertEqual(self.c.stats_difference_zone_p(same, 0.02), 0)
        single = self.c.stats_welch(doubles([1]), 1, doubles([2, 2]), 2)
        self.assertEqual(self.c.stats_difference_zone_p(single, 0.02), 1)

    def test_holm(self):
        for size in (1, 2, 3, 10, 21):
            p = self.random.uniform(0, 0.2, size)
            expected = multipletests(p, method="holm")[1]
            ours = doubles([0] * size)
            self.c.stats_holm(doubles(p), size, ours)
            np.testing.assert_allclose(list(ours)[:size], expected, rtol=1e-12)


if __name__ == "__main__":
    unittest.main()
