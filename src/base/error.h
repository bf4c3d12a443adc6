// What kvista throws is public.
#pragma once

#include "kvista/error.h"
