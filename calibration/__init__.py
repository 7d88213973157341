"""What is learnt or fitted off line: training, evaluation, score width, parity. Never imported by the live loop."""
