# SPDX-License-Identifier: Apache-2.0
"""The C++ runtime of the core library and of the plugins."""

# Linked in and hidden: loading the shared one takes a quarter of the time of "info", and plugins of different compilers
# can't get into each other's way. --config=shared-cxx-runtime is for those who must use the shared one; sanitizers need
# it. By bfd: gold keeps and exports what a shared C++ library on the command line refers to, in spite of version scripts.
CXX_RUNTIME = select({
    "//sdk/build:shared_cxx_runtime": [],
    "//conditions:default": [
        "-l:libstdc++.a",
        "-static-libgcc",
        "-Wl,--exclude-libs,libstdc++.a:libgcc.a:libgcc_eh.a",
    ],
}) + ["-fuse-ld=bfd"]

# bfd knows no --start-lib.
CXX_RUNTIME_FEATURES = ["-supports_start_end_lib"]
