"""``match``: who is it, known again from one picture?"""
