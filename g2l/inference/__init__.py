"""Prediction over feature files: sessions, predictor, writers."""
