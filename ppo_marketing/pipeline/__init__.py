"""The whole line, a file a stage: log -> calibrated market -> PPO -> evidence.

    log = reading.read(decision, section, cache)
    calibration = calibrating.calibrate(decision, log, settings, seed)
    rules = calibrating.tuned_rules(decision, calibration, settings, seed)
    result = learning.learn_from_calibration(decision, calibration, settings, training, seed)
    judgement = judging.judge_policy(decision, calibration, settings, policy, start, rules, ...)

Every arrow takes values and returns a value; files, the tracker and the terminal stay with the
callers (`jobs/`), which hand in what they want to be told.
"""
