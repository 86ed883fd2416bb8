using Tern.Training.Runs;

namespace Tern.Tests.Training.Runs;

/// <summary>Keeps what a run tells.</summary>
internal sealed class RecordingObserver : IRunObserver
{
    public List<string> Notes { get; } = [];

    public List<double> Shares { get; } = [];

    public void Encoded(double share) => Shares.Add(share);

    public void Started(RunSummary run)
    {
    }

    public void Stepped(StepRecord step, double secondsLeft)
    {
    }

    public void Saved(string path)
    {
    }

    public void Note(string text) => Notes.Add(text);
}
