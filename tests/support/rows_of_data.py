"""What can break by what a grid is given: data, spaces, tables, names, memory, code."""

from row import Row

EXECUTION = "tests/grid/execution/test_"
RUN = "tests/grid/end_to_end/test_run.py::test_"
FAILING = "tests/grid/end_to_end/test_failing_runs.py::test_"
INTERRUPTED = "tests/grid/end_to_end/test_interrupted_runs.py::test_"
PROCESSES = "tests/faults/test_processes.py::test_"
STORAGE = "tests/faults/test_storage.py::test_"
CHECK = "tests/medpt/data/test_"
READERS = "tests/medpt/data/readers/test_"
SPACE = "tests/grid/space/test_reader.py::test_"
LEASES = "tests/grid/store/test_leases.py::test_"
BUCKET = "tests/grid/store/test_bucket_store.py::test_"
ARCHIVES = "tests/medpt/data/test_hostile_archives.py::test_"

DATA = [
    Row(
        "a prepared shard is cut, altered or gone, counts are wrong",
        "bytes edited, files removed",
        "named before training; only that shard is prepared again",
        (
            f"{FAILING}damaged_results_are_made_again",
            "tests/medpt/data/test_shards.py::test_every_damaged_shard_is_named_in_one_pass",
            "tests/medpt/data/test_shards.py::test_wrong_counts_are_refused",
            "tests/medpt/data/test_shards.py::test_manifest_that_is_absent_foreign_or_broken_is_refused",
            "tests/grid/preparation/test_loaders.py::test_open_loader_names_a_damaged_shard",
        ),
    ),
    Row(
        "odd images: empty, cut, 16 bits, CMYK, alpha, rotated, a bomb",
        "such files",
        "read correctly, or named and excluded; a bomb takes neither memory nor time",
        (
            f"{CHECK}odd_files.py::test_odd_but_sound_files_are_read",
            f"{CHECK}odd_files.py::test_bomb_takes_neither_memory_nor_time",
            f"{CHECK}odd_files.py::test_unreadable_file_is_refused_by_name",
            f"{CHECK}odd_files.py::test_truncated_file_and_32_bits_are_refused_by_name",
            f"{FAILING}truncated_image_fails_what_needs_it",
        ),
    ),
    Row(
        "the loss is not a number",
        "a learning rate of 9; NaN at a step",
        "fails once, with the step; not retried; other units continue",
        (
            f"{FAILING}diverging_unit_fails_once_and_the_rest_continues",
            "tests/medpt/test_train.py::test_loss_that_is_no_number_ends_the_run_and_names_the_step",
            "tests/medpt/test_train.py::test_metric_that_is_no_number_ends_the_run",
        ),
    ),
    Row(
        "memory runs out",
        "Python's, PyTorch's and Ray's errors; trials that end with them",
        "retried once, alone on a machine; then failed with cause memory",
        (
            f"{EXECUTION}failures.py::test_classify_gives_each_error_one_cause",
            f"{EXECUTION}failures.py::test_classify_counts_ray_errors_as_lost_work_except_its_memory_monitor",
            f"{EXECUTION}coordinator.py::test_unit_that_ray_killed_gets_the_largest_machine_alone",
        ),
    ),
    Row(
        "a device's memory runs out",
        "torch's error, raised where a unit has less than half of a GPU that Ray alone knows of",
        "retried once with twice the share, then failed with cause memory; never more than one GPU in total",
        (
            f"{EXECUTION}scheduler.py::test_units_out_of_gpu_memory_get_twice_the_share_and_the_device_is_never_exceeded",
        ),
    ),
    Row(
        "a test set without what a metric needs",
        "one class, no pixel, all censored, one patient",
        "undefined, or refused with a message; never 0",
        (
            "tests/medpt/test_metrics.py::test_undefined_areas_are_nan",
            "tests/medpt/test_metrics.py::test_all_pixels_ignored_is_nan",
            "tests/grid/end_to_end/test_survival_failures.py::test_all_censored_split_is_a_failure_of_the_data",
            "tests/medpt/data/test_splits.py::test_one_patient_cannot_be_split",
            "tests/grid/report/test_report_tables.py::test_cell_is_the_mean_of_finished_seeds",
            "tests/grid/report/test_report_tables.py::test_cell_counts_a_finished_trial_without_a_number_as_undefined",
        ),
    ),
    Row(
        "a bad space",
        "tabs, duplicate or unknown keys, aliases that multiply, Python tags, a million trials",
        "refused with the line and what is accepted",
        (
            f"{SPACE}mistake_is_reported",
            f"{SPACE}all_mistakes_in_one_pass",
            f"{SPACE}multiplying_aliases_are_refused",
            f"{SPACE}million_trials_are_refused",
        ),
    ),
    Row(
        "a bad table of labels",
        "columns, classes, ids, patients, encodings",
        "all reported in one pass, by line",
        (
            f"{READERS}image_folder.py::test_table_problems_are_all_reported_with_their_lines",
            f"{READERS}image_folder.py::test_unreadable_tables_are_refused",
            f"{CHECK}check.py::test_all_of_twenty_three_planted_faults_are_reported_in_one_run",
            f"{CHECK}commands.py::test_check_finds_patients_on_both_sides_and_classes_that_are_none",
            f"{FAILING}refusals",
        ),
    ),
    Row(
        "archives that point outside",
        "crafted members and links",
        "nothing is written outside",
        (
            f"{ARCHIVES}other_members_of_cifar_s_archive_go_nowhere",
            f"{ARCHIVES}link_in_cifar_s_archive_is_not_followed_out_of_it",
            f"{ARCHIVES}images_of_imagenet_that_point_outside_stay_in_their_archive",
            f"{ARCHIVES}devkit_that_points_outside_leaves_nothing",
            f"{ARCHIVES}sheet_with_members_outside_is_read_in_memory",
        ),
    ),
    Row(
        "weights that contain code",
        "a pickle that would run code",
        "never run",
        (
            "tests/medpt/models/test_torchvision_weights.py::test_no_code_runs_from_a_published_file",
            "tests/test_security.py::test_no_line_runs_code_from_data",
        ),
    ),
    Row(
        "hostile names",
        "dots, quotes, markup, 300 letters",
        "refused, or shown as text; paths are digests",
        (
            f"{ARCHIVES}hostile_name_is_no_dataset",
            "tests/test_security.py::test_space_reads_only_below_the_data_folder",
            "tests/grid/report/test_report.py::test_report_shows_hostile_names_as_text",
        ),
    ),
    Row(
        "a clock jumps",
        "leases written at other times",
        "clocks are never compared",
        (f"{LEASES}no_clock_is_compared",),
    ),
    Row(
        "storage that cannot be written or reached",
        "a file instead of the folder, read-only folders, an unavailable bucket",
        "reported at once",
        (
            "tests/grid/store/test_store.py::test_create_refuses_a_folder_that_cannot_be_written",
            "tests/grid/doctor/test_checks.py::test_folder_that_cannot_be_written_or_locked",
            "tests/grid/store/test_backends.py::test_bucket_that_does_not_answer_is_an_infrastructure_fault",
            f"{BUCKET}bucket_that_is_not_there_is_reported",
            "tests/grid/end_to_end/test_bucket_run.py::test_killed_on_one_machine_it_resumes_on_another",
        ),
    ),
    Row(
        "the code has changed",
        "a kind's version raised",
        "only what depends on it is run again; old results are kept",
        (
            "tests/faults/test_versions.py::test_raised_version_does_again_what_depends_on_it_and_keeps_the_old",
        ),
    ),
    Row(
        "data tasks find no free CPU",
        "streaming trials that hold every CPU; the same with data tasks that request one",
        "no deadlock; a trial without data fails with the reason",
        (
            "tests/grid/preparation/test_loaders.py::test_streaming_trials_that_hold_every_cpu_do_not_hang",
            "tests/grid/preparation/test_loaders.py::test_with_timeout_raises_starved_error_without_a_batch",
            f"{EXECUTION}scheduler.py::test_starved_unit_fails_after_bounded_retries_and_says_why",
        ),
    ),
    Row(
        "orphans",
        "processes and folders counted after 1, 2 and 3",
        "none, at once or after two minutes; the next command removes what a killed driver left",
        (
            f"{PROCESSES}driver_that_dies_at_every_point_of_its_life_resumes_and_leaves_nothing",
            "tests/grid/cluster/test_temp_folders.py::test_clean_up_takes_dead_drivers_and_leaves_living_ones",
            "tests/grid/cluster/test_temp_folders.py::test_process_started_by_one_that_is_just_killed_is_ended_too",
            "tests/grid/cluster/test_temp_folders.py::test_clean_up_never_ends_a_process_because_a_lock_is_absent",
            "tests/grid/cluster/test_temp_folders.py::test_interrupted_clean_up_leaves_the_lock_to_the_next",
            f"{RUN}what_a_killed_driver_left_goes_though_nothing_is_left_to_do",
            f"{INTERRUPTED}interrupted_run_exits_130_or_143_and_says_how_to_resume",
        ),
        folders=True,
    ),
    Row(
        "a report is interrupted",
        "kill -9 between its files",
        "the old page is complete; the next command writes the new one",
        (f"{STORAGE}report_that_dies_leaves_the_old_page",),
    ),
]
