"""Layers with several dilation branches: conversion, estimate and expand."""
