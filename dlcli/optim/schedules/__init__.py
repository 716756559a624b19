"""Learning-rate schedules: functions of the step, one file each; one of them also sees the monitored figure."""
