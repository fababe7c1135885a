# SPDX-License-Identifier: Apache-2.0
"""What the script suites share: tools that are run and their results, cases that run two at a time, a summary."""
