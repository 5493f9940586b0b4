"""The JSON report against its schema, by the jsonschema package and jq; the CSV by Python's own
reader. tests/unit/test_report.c holds the same files to what is written."""

import copy
import csv
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import jsonschema

SOURCE = os.environ["PRONY_SOURCE"]
GOLDEN = os.path.join(SOURCE, "tests", "golden")
CONTRACT = [
    "framework",
    "model_size",
    "iterations",
    "total_time",
    "first_token_time",
    "avg_token_time",
    "min_token_time",
    "max_token_time",
    "avg_tokens_per_second",
    "peak_tokens_per_second",
    "peak_memory_gb",
    "model_memory_gb",
]


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = read_json(os.path.join(SOURCE, "docs", "results.schema.json"))
        cls.validator = jsonschema.Draft202012Validator(cls.schema)
        cls.document = read_json(os.path.join(GOLDEN, "three.json"))

    def test_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_contract_is_required(self):
        required = self.schema["$defs"]["result"]["required"]
        self.assertEqual(required[: len(CONTRACT)], CONTRACT)

    def test_output_is_valid(self):
        for name in ["three.json", "hostile.json"]:
            with self.subTest(name):
                self.validator.validate(read_json(os.path.join(GOLDEN, name)))

    def test_every_member_is_described(self):
        """A member that the program writes and the schema lacks would be silently allowed."""

        def walk(value, schema, where):
            if "$ref" in schema:
                schema = self.schema["$defs"][schema["$ref"].split("/")[-1]]
            others = schema.get("additionalProperties")
            if isinstance(value, list):
                for item in value:
                    walk(item, schema["items"], where)
            elif isinstance(value, dict) and ("properties" in schema or isinstance(others, dict)):
                for key, member in value.items():
                    inner = schema.get("properties", {}).get(key, others)
                    self.assertIsNotNone(inner, f"{where}.{key} is not in the schema")
                    walk(member, inner, f"{where}.{key}")

        walk(self.document, self.schema, "")

    def test_damage_is_found(self):
        """A schema that accepts everything would pass the tests above."""

        def damaged(change):
            run = copy.deepcopy(self.document)
            change(run)
            return run

        changes = [
            lambda run: run.pop("results"),
            lambda run: run["run"].update(state="odd"),
            lambda run: run["results"][0]["metrics"]["tpot_ms"].pop("unit"),
            lambda run: run["results"][0]["samples"][0].update(ids=["one"]),
            lambda run: run["comparisons"][0].update(verdict="FASTER"),
            lambda run: run.update(version=2),
        ]
        changes += [lambda run, key=key: run["results"][0].pop(key) for key in CONTRACT]
        for index, change in enumerate(changes):
            with self.subTest(index):
                self.assertFalse(self.validator.is_valid(damaged(change)))

    def test_numbers_survive(self):
        result = self.document["results"][0]
        tpot_ms = result["metrics"]["tpot_ms"]["value"]
        self.assertAlmostEqual(result["avg_token_time"] * 1e3, tpot_ms)
        self.assertEqual(
            result["samples"][0]["arrivals_ns"], [433000000 + 25000000 * i for i in range(5)]
        )

    @unittest.skipUnless(shutil.which("jq"), "jq is not installed")
    def test_jq_reads_it(self):
        for name in ["three.json", "hostile.json"]:
            path = os.path.join(GOLDEN, name)
            out = subprocess.run(
                ["jq", "-r", ".results[].framework", path],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            self.assertEqual(out.splitlines(), [r["framework"] for r in read_json(path)["results"]])


class RealRun(unittest.TestCase):
    """A run with a variant that works and one that fails, as `prony bench` writes it."""

    def test_output_is_valid(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        engine = os.path.join(folder, "engines", "broken")
        os.makedirs(engine)
        with open(os.path.join(engine, "engine.json"), "w", encoding="utf-8") as file:
            json.dump(
                {
                    "name": "broken",
                    "title": "Broken",
                    "licence": "MIT",
                    "about": "A test's.",
                    "command": ["/bin/false"],
                    "variants": [
                        {
                            "name": "broken",
                            "title": "Broken",
                            "precision": "float32",
                            "about": "Ends at once.",
                            "supports": {"formats": ["gguf"], "devices": ["cpu"]},
                        }
                    ],
                },
                file,
            )
        model, output = os.path.join(folder, "tiny.gguf"), os.path.join(folder, "run.json")
        environment = os.environ | {
            "PRONY_STORE": os.path.join(folder, "results.db"),
            "PRONY_ENGINE_PATH": os.path.dirname(engine),
        }
        for command in [
            ["model", "make", "--size", "tiny", "--output", model],
            [
                "bench",
                "--framework",
                "null-instant",
                "broken",
                "--model-path",
                model,
                "--blocks",
                "2",
                "--iterations",
                "4",
                "--output",
                output,
            ],
        ]:
            subprocess.run(
                [os.environ["PRONY"], *command], check=True, capture_output=True, env=environment
            )
        run = read_json(output)
        schema = read_json(os.path.join(SOURCE, "docs", "results.schema.json"))
        jsonschema.Draft202012Validator(schema).validate(run)
        self.assertEqual([failure["framework"] for failure in run["failures"]], ["broken"] * 2)
        self.assertEqual(run["results"][1]["avg_token_time"], None)
        self.assertEqual(len(run["results"][0]["samples"]), 2)


class Export(unittest.TestCase):
    """What `prony results export` writes, and what import takes, against its schema."""

    @classmethod
    def setUpClass(cls):
        cls.schema = read_json(os.path.join(SOURCE, "docs", "export.schema.json"))
        cls.validator = jsonschema.Draft202012Validator(cls.schema)
        cls.corpus = os.path.join(SOURCE, "tests", "fuzz", "corpus", "import")

    def test_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_schema_and_import_agree(self):
        """Order of stamps and references between members are what a schema cannot say."""
        prony = os.environ["PRONY"]
        folder = self.enterContext(tempfile.TemporaryDirectory())
        beyond_schemas = ["order", "variant"]
        for name in sorted(set(os.listdir(self.corpus)) - {"not-json", *beyond_schemas}):
            with self.subTest(name):
                path = os.path.join(self.corpus, name)
                environment = os.environ | {"PRONY_STORE": os.path.join(folder, name)}
                taken = subprocess.run(
                    [prony, "results", "import", path], capture_output=True, env=environment
                )
                self.assertEqual(self.validator.is_valid(read_json(path)), taken.returncode == 0)
                if taken.returncode or name in ("empty", "version-1", "version-3"):
                    continue
                file = os.path.join(folder, name + ".json")
                subprocess.run(
                    [prony, "results", "export", "1", "--output", file],
                    check=True,
                    capture_output=True,
                    env=environment,
                )
                self.validator.validate(read_json(file))
                self.assertEqual(read_json(file), read_json(path))


class Csv(unittest.TestCase):
    def rows(self, name):
        with open(os.path.join(GOLDEN, name), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))

    def test_summary(self):
        results = read_json(os.path.join(GOLDEN, "three.json"))["results"]
        for row, result in zip(self.rows("three.csv"), results, strict=True):
            for key in CONTRACT[2:]:
                self.assertEqual(float(row[key]), result[key])
            for key, metric in result["metrics"].items():
                for end, suffix in [("value", ""), ("low", "_low"), ("high", "_high")]:
                    value = row[key + suffix]
                    self.assertEqual(float(value) if value else None, metric[end])

    def test_hostile_fields_stay_fields(self):
        rows = self.rows("hostile.csv")
        self.assertEqual([len(row) for row in rows], [len(rows[0])] * 3)
        self.assertEqual(rows[1]["framework"], "'=cmd|'/C calc'!A0")
        self.assertTrue(rows[1]["failure"].startswith('"quoted", comma and \ufffd]0;title'))
        fields = [field for row in rows for field in row.values() if field]
        self.assertFalse([field for field in fields if field[0] in "=+-@"])

    def test_samples(self):
        rows = self.rows("three.samples.csv")
        self.assertEqual(len(rows), 15)
        self.assertEqual([row["counted"] for row in rows[:5]], ["0", "0", "1", "1", "1"])


if __name__ == "__main__":
    unittest.main()
