/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/log.h"
#include "content/content.h"
#include "diff/differ.h"
#include "snapshotter/snapshotter.h"

/* What the daemon was told: by default, by the configuration file, by the command line, in this
 * order. */
struct options {
    char *root;
    char *address;
    bool allow_case_insensitive; /* the root may be where names that differ by case are one */
    enum log_level log_level;
    struct snapshotter_options snapshots;
    struct content_options content;
    struct differ_options diff; /* but for the next, which it gets when the differ is opened */
    struct differ_containerd *containerds;
    size_t containerd_count;
    char *forget_snapshotter; /* NULL, or a one-off command, like the next */
    char *adopt_content;
    char *probe;
    bool show_version;
    bool show_help;
};

/* Reads the command line and the file that it names. ERROR_INVALID says what to do. */
int options_read(int argc, char **argv, struct options *out_options, struct error *error);
void options_clear(struct options *options);

/* What --help prints. */
void options_print_usage(void);
