"""Two recipes over the same files: as they come, and averaged by month."""
import apache_beam as beam
import pandas as pd
from pangeo_forge_recipes.patterns import ConcatDim, FilePattern
from pangeo_forge_recipes.transforms import OpenURLWithFSSpec, OpenWithXarray, StoreToZarr

DATES = pd.date_range("2020-01-01", "2020-12-31", freq="D")


def url(time):
    return f"https://data.example.org/sst/{time:%Y%m}/sst.{time:%Y%m%d}.nc"


class MonthlyMean(beam.PTransform):
    """Replaces each dataset by its mean over the month it belongs to."""

    def expand(self, datasets):
        return datasets | beam.MapTuple(lambda index, ds: (index, ds.resample(time="MS").mean()))


pattern = FilePattern(url, ConcatDim("time", DATES, nitems_per_file=1))
opened = beam.Create(pattern.items()) | OpenURLWithFSSpec() | OpenWithXarray(file_type=pattern.file_type)

daily = opened | StoreToZarr(store_name="sst-daily.zarr", combine_dims=pattern.combine_dim_keys)
monthly = opened | MonthlyMean() | StoreToZarr(store_name="sst-monthly.zarr", combine_dims=pattern.combine_dim_keys)
