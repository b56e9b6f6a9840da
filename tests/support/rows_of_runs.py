"""What can break while a grid runs: processes, nodes, trackers, disks, checkpoints."""

from row import Row

INTERRUPTED = "tests/grid/end_to_end/test_interrupted_runs.py::test_"
PROCESSES = "tests/faults/test_processes.py::test_"
STORAGE = "tests/faults/test_storage.py::test_"
NODES = "tests/grid/end_to_end/test_nodes.py::test_"
TRACKER = "tests/grid/tracking/test_server.py::test_"
OUTAGES = "tests/grid/tracking/test_outages.py::test_"
FIRST_CLIENTS = "tests/grid/tracking/test_first_clients.py::test_"
LEASES = "tests/grid/store/test_leases.py::test_"
BUCKET = "tests/grid/store/test_bucket_store.py::test_"

RUNS = [
    Row(
        "a trial's process dies",
        "kill -9 at seven named points; at random",
        "resumes from its last checkpoint; at most one step is repeated",
        (
            f"{PROCESSES}trials_that_die_at_every_point_of_their_life_repeat_a_step_at_most",
            f"{INTERRUPTED}killed_trial_resumes_from_its_checkpoint",
            "tests/medpt/test_resume.py::test_resuming_after_any_step_changes_no_bit",
            "tests/medpt/test_resume.py::test_many_kills_change_no_bit",
        ),
        ("trial",),
    ),
    Row(
        "the driver dies",
        "kill -9 at six named points; at random",
        "the same command finishes with the same numbers",
        (
            f"{PROCESSES}driver_that_dies_at_every_point_of_its_life_resumes_and_leaves_nothing",
            f"{INTERRUPTED}killed_drivers_lose_and_repeat_nothing",
            f"{INTERRUPTED}run_interrupted_and_then_killed_is_resumed_with_the_same_numbers",
        ),
        ("driver", "driver that starts"),
    ),
    Row(
        "SIGINT, SIGTERM to the driver",
        "the signal",
        "exit code 130 or 143 at once, with how to resume",
        (f"{INTERRUPTED}interrupted_run_exits_130_or_143_and_says_how_to_resume",),
    ),
    Row(
        "a node dies",
        "kill -9 of its raylet",
        "the unit moves to another node; without one, the same command resumes",
        (
            f"{NODES}unit_moves_when_its_node_is_lost",
            f"{NODES}node_and_the_tracker_are_killed_and_nothing_is_missing",
        ),
        ("raylet",),
    ),
    Row(
        "Ray's head dies",
        "kill -9 of the GCS",
        "one sentence; the same command resumes",
        (f"{NODES}lost_head_is_one_sentence_and_the_next_run_finishes",),
        ("gcs",),
    ),
    Row(
        "a node never joins",
        "a unit that requests what no node has, until one joins",
        "reports what waits for what; continues when the node joins",
        (
            "tests/grid/execution/test_scheduler.py::test_run_waits_for_a_gpu_that_joins_late_and_reports_it",
            "tests/grid/execution/test_progress.py::test_stall_notice_reports_at_doubled_intervals_while_nothing_runs",
        ),
    ),
    Row(
        "two processes want one unit",
        "both claim, both publish; eight create one name; a folder and a bucket",
        "one process works on it, one result counts",
        (
            f"{NODES}two_drivers_on_one_store_do_each_unit_once",
            f"{LEASES}who_beats_is_left_alone",
            "tests/grid/store/test_backends.py::test_of_all_who_create_a_name_one_succeeds",
            f"{BUCKET}of_two_who_publish_one_counts",
            f"{LEASES}what_is_finished_is_not_claimed",
        ),
    ),
    Row(
        "the holder of a unit dies or stalls",
        "SIGSTOP, SIGCONT of a trial's process",
        "it continues, or another process takes over and the late result is discarded",
        (
            f"{PROCESSES}trial_that_stops_for_a_while_resumes",
            f"{LEASES}who_was_killed_is_followed_at_once",
            f"{LEASES}who_stalls_is_followed_after_the_time_of_a_lease",
            f"{LEASES}late_result_is_discarded",
        ),
    ),
    Row(
        "the tracking server dies in the middle of a record",
        "kill -9 between two requests, started again",
        "one complete run per unit, no row twice",
        (f"{TRACKER}server_killed_in_the_middle_of_a_record_gets_one_complete_run_per_unit",),
    ),
    Row(
        "the tracking server is away",
        "nobody listens; it answers 500; it hangs",
        "training continues; the run waits 15 s, lists what is missing, exits with 1; --flush sends it",
        (
            f"{OUTAGES}run_exits_1_and_reports_what_the_tracker_lacks",
            f"{OUTAGES}no_unit_waits_for_a_hanging_tracker",
        ),
    ),
    Row(
        "the database is locked",
        "another process holds it for 25 s",
        "sent later",
        (f"{OUTAGES}database_locked_for_25_seconds_gets_every_record",),
    ),
    Row(
        "eight first clients of an empty database",
        "eight processes on SQLite and on PostgreSQL; eight drivers of one store",
        "one schema, one experiment, one complete run per unit",
        (
            f"{FIRST_CLIENTS}first_clients_create_one_schema_and_each_experiment_once",
            f"{FIRST_CLIENTS}drivers_of_one_store_create_one_complete_run_per_unit",
        ),
    ),
    Row(
        "the disk is full",
        "a tmpfs too small for the networks; ENOSPC at a named point",
        "the unit fails with cause infrastructure and the free space; the next run finishes",
        (
            f"{STORAGE}full_disk_is_reported_and_with_room_the_same_command_ends_well",
            f"{PROCESSES}trials_that_die_at_every_point_of_their_life_repeat_a_step_at_most",
            "tests/medpt/test_fault_injection.py::test_full_disk_leaves_the_old_file_and_no_other",
            "tests/grid/doctor/test_checks.py::test_disk_too_small",
        ),
    ),
    Row(
        "a checkpoint is cut or altered",
        "every length, bits flipped",
        "moved to quarantine; the previous one is used; equal bits at the end",
        (
            "tests/medpt/test_checkpoint.py::test_cut_file_gives_way_to_the_one_before",
            "tests/medpt/test_checkpoint.py::test_flipped_bit_anywhere_is_seen",
            "tests/medpt/test_resume.py::test_damaged_checkpoint_costs_time_and_changes_no_bit",
        ),
    ),
    Row(
        "death between a temporary file and its name, between artifacts and marker",
        "kill -9 at these points",
        "run again; leftovers are removed",
        (
            f"{PROCESSES}trials_that_die_at_every_point_of_their_life_repeat_a_step_at_most",
            f"{PROCESSES}task_that_dies_while_a_shard_is_written_is_started_again",
            "tests/grid/store/test_store.py::test_artifacts_without_a_marker_are_replaced",
            "tests/medpt/data/test_shards.py::test_writer_that_dies_leaves_no_half_shard",
            f"{STORAGE}leftovers_of_the_dead_are_swept_after_an_hour",
        ),
    ),
]
