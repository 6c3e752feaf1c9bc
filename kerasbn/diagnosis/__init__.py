"""The diagnosis of a run: numbers in, findings out.

Neither keras nor tensorflow is needed to judge a run from its event files.
"""

from kerasbn.diagnosis._diagnose import diagnose as diagnose
from kerasbn.diagnosis._finding import Diagnosis as Diagnosis
from kerasbn.diagnosis._finding import Finding as Finding
from kerasbn.diagnosis._problems import PROBLEMS as PROBLEMS
