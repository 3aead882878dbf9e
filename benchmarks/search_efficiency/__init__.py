"""Which cheap score predicts a full training, and which search finds the most for its optimiser steps."""
