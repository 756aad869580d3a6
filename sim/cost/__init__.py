"""Operations x hardware x layout -> time and energy of a step."""
