// What the shared library lets its users see. All else in it is hidden.
#pragma once

#define KVISTA_API __attribute__((visibility("default")))
