/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Errors. A function that can fail returns 0, or a positive answer that its header documents, or
 * one of the negative codes below, and describes the failure in the caller's struct error. The
 * storage is fixed, so raising an error allocates nothing and nothing leaks; a NULL error is
 * allowed where only the code matters.
 *
 * Each code is one class of the API (rpc/status.c maps it); the message is for people.
 */
enum error_code {
    ERROR_INVALID = -1,        /* the request itself is wrong */
    ERROR_NOT_FOUND = -2,      /* the named thing is not there */
    ERROR_EXISTS = -3,         /* the name is taken */
    ERROR_PRECONDITION = -4,   /* the state of the named thing forbids it */
    ERROR_BUSY = -5,           /* try again later */
    ERROR_NO_SPACE = -6,       /* ENOSPC, EDQUOT, or a configured limit */
    ERROR_CORRUPT = -7,        /* stored data is not what was stored */
    ERROR_CANCELLED = -8,      /* the caller went away or its deadline passed */
    ERROR_OUT_OF_RANGE = -9,   /* an offset beyond the end */
    ERROR_PERMISSION = -10,    /* the peer may not do that */
    ERROR_UNIMPLEMENTED = -11, /* somebody else may be able to */
    ERROR_IO = -12,            /* a system call failed */
    ERROR_INTERNAL = -13       /* our bug */
};

struct error {
    enum error_code code; /* 0 while nothing was raised */
    int sys;              /* errno where a system call failed, else 0 */
    char message[1024];   /* whole sentence, always NUL-terminated, cut on a UTF-8 boundary */
};

/* Raises code with a text. Returns code. */
int error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Raises what errno says, its text appended to ours: ENOSPC and EDQUOT are ERROR_NO_SPACE, all
 * others ERROR_IO. ENOENT is not ERROR_NOT_FOUND: a missing file of ours is never a client's
 * missing snapshot. Returns the code; errno is kept.
 */
int error_errno(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the system calls errno sys: a text that lives as long as the buffer. */
const char *error_number_text(int sys, char *buffer, size_t size);

/* Prepends "text: " to what is there and returns its code, which a NULL error does not know. Say
 * what was done to which key. */
int error_wrap(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* True for the errno values that mean that the volume is full. */
bool error_is_no_space(int sys);
