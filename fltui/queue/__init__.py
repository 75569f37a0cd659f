"""What a queue is: a plain folder of jobs that wait, run or are over. What runs them is `fltui.server.dispatch`."""
