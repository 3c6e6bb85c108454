"""The repository's own checks can fail, and say what is wrong."""

from pathlib import Path

from tests.support.checks import load

check_mirror = load("check_mirror")
check_sizes = load("check_sizes")
check_coverage = load("check_coverage")


def test_the_mirror_is_checked_in_both_directions():
    modules = [Path("clock.py"), Path("wire/h2/hpack.py")]
    tests = [Path("test_clock.py"), Path("wire/h2/test_frames.py")]

    assert check_mirror.differences(modules, tests) == [
        "edgeproxy/wire/h2/hpack.py has no tests/unit/wire/h2/test_hpack.py",
        "tests/unit/wire/h2/test_frames.py has no edgeproxy/wire/h2/frames.py",
    ]


def test_a_mirrored_tree_has_no_differences():
    assert check_mirror.differences([Path("a/b.py")], [Path("a/test_b.py")]) == []


def test_the_tests_of_a_module_may_go_on_in_files_beside_the_first():
    first, more = Path("a/test_b.py"), Path("a/test_b_topic.py")
    assert check_mirror.differences([Path("a/b.py")], [first, more]) == []
    assert check_mirror.differences([Path("a/b.py")], [more]) == [
        "edgeproxy/a/b.py has no tests/unit/a/test_b.py"
    ]
    assert check_mirror.differences([Path("a/b.py")], [first, Path("a/test_bc.py")]) == [
        "tests/unit/a/test_bc.py has no edgeproxy/a/bc.py"
    ]
    assert check_mirror.differences([Path("a/b.py")], [first, Path("test_b_topic.py")]) == [
        "tests/unit/test_b_topic.py has no edgeproxy/b_topic.py"
    ]


def test_packages_and_entry_points_need_no_test(tmp_path, capsys):
    (tmp_path / "edgeproxy").mkdir()
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py"):
        (tmp_path / "edgeproxy" / name).touch()

    assert check_mirror.main(tmp_path) == 0
    (tmp_path / "edgeproxy" / "new.py").touch()
    assert check_mirror.main(tmp_path) == 1
    assert capsys.readouterr().out == "edgeproxy/new.py has no tests/unit/test_new.py\n"


def test_a_function_of_sixty_lines_passes_and_one_more_does_not():
    sixty = "def f():\n" + "    x = 1\n" * 59
    assert check_sizes.findings("a.py", sixty) == []
    assert check_sizes.findings("a.py", sixty + "    x = 1\n") == [
        "a.py:1: f has 61 lines, at most 60"
    ]


def test_nested_and_asynchronous_functions_count():
    source = "class A:\n    async def f(self):\n" + "        x = 1\n" * 60
    assert check_sizes.findings("a.py", source) == ["a.py:2: f has 61 lines, at most 60"]


def test_a_file_of_five_hundred_lines_passes_and_one_more_does_not():
    assert check_sizes.findings("a.py", "x = 1\n" * 500) == []
    assert check_sizes.findings("a.py", "x = 1\n" * 501) == ["a.py: 501 lines, at most 500"]


def report(**files: tuple[int, int, int, int]):
    return {
        "files": {
            name.replace("__", "/") + ".py": {
                "summary": {
                    "covered_lines": lines,
                    "num_statements": statements,
                    "covered_branches": taken,
                    "num_branches": branches,
                }
            }
            for name, (lines, statements, taken, branches) in files.items()
        }
    }


def test_coverage_adds_up_lines_and_branches_of_a_package():
    percentages = check_coverage.by_package(
        report(
            edgeproxy__http__dates=(10, 10, 3, 4),
            edgeproxy__http__names=(6, 6, 0, 0),
            edgeproxy__wire__h2__hpack=(5, 10, 5, 10),
            edgeproxy__cli=(0, 0, 0, 0),
        )
    )
    assert percentages == {"": 100.0, "http": 95.0, "wire": 50.0}


def test_a_pure_package_must_be_covered_whole_and_others_nearly():
    assert check_coverage.below_floor({"http": 100.0, "edge": 90.0, "": 91.0}) == []
    assert check_coverage.below_floor({"http": 99.9, "edge": 89.9}) == [
        "edgeproxy/http: 99.90 % covered, at least 100 % asked",
        "edgeproxy/edge: 89.90 % covered, at least 90 % asked",
    ]
