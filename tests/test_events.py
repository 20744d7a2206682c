"""What TensorBoard is given."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from bnrepro.run import run
from conftest import Make


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_curves_bands_and_hyperparameters_are_there(small: Make) -> None:
    record = run(small("network=mlp_bn"))
    events = EventAccumulator(str(record.folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    scalars = set(events.Tags()["scalars"])
    metrics = record.read_metrics()
    accuracy = metrics[(metrics["metric"] == "accuracy") & (metrics["split"] == "test")]
    seen = {event.step: event.value for event in events.Scalars("test_accuracy/mean")}
    assert seen == pytest.approx(accuracy.groupby("step")["value"].mean().to_dict(), rel=1e-5)
    layout = layout_pb2.Layout()
    layout.ParseFromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    first = {chart.title: chart for chart in layout.category[0].chart}
    assert list(first) == ["hidden1", "hidden2", "hidden3"]
    series = first["hidden3"].margin.series[0]
    assert (series.value, series.lower, series.upper) == tuple(f"typical/hidden3/p{p}" for p in (50, 15, 85))
    for category in layout.category:
        for chart in category.chart:
            for s in chart.margin.series:
                assert {s.value, s.lower, s.upper} <= scalars
    assert any("hparams" in tag for tag in events.summary_metadata)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_block_of_an_inception_network_has_its_bands(small: Make) -> None:
    tiny = ["network=bn_baseline", "data=shapes", "data.train_images=64", "data.test_images=20", "model.width=0.125"]
    record = run(small(*tiny, "steps=2", "seeds=[0]", "probes.activation_steps=2", "probes.evaluate_every=1"))
    events = EventAccumulator(str(record.folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    layout = layout_pb2.Layout()
    layout.ParseFromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    titles = {category.title: [chart.title for chart in category.chart] for category in layout.category}
    assert len(titles["Input of a block, all maps"]) == 11
    assert not any("Fig. 1" in title for title in titles)
    shown = {s for c in layout.category for chart in c.chart for x in chart.margin.series for s in (x.value, x.lower)}
    assert shown <= set(events.Tags()["scalars"])
