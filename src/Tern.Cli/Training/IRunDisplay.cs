using Tern.Training.Runs;

namespace Tern.Cli.Training;

/// <summary>Who shows a run, and answers whoever ends it.</summary>
internal interface IRunDisplay : IRunObserver
{
    /// <summary>A signal came that ends the run; called by another thread.</summary>
    void Stopping();
}
