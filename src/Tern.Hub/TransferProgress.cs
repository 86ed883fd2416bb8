namespace Tern.Hub;

/// <summary>How far a transfer is. Many threads add to it, one looks now and then.</summary>
internal sealed class TransferProgress
{
    private long _done;
    private long _total;
    private long _checked;
    private volatile string _doing = "starting";

    /// <summary>Bytes of all files.</summary>
    public long Total
    {
        get => Interlocked.Read(ref _total);
        set => Interlocked.Exchange(ref _total, value);
    }

    /// <summary>Bytes that are there.</summary>
    public long Done => Interlocked.Read(ref _done);

    /// <summary>Bytes whose hash was computed.</summary>
    public long Checked => Interlocked.Read(ref _checked);

    /// <summary>What goes on, in a word or two; never empty.</summary>
    public string Doing
    {
        get => _doing;
        set => _doing = value;
    }

    /// <summary>More bytes came; less than none, when some are thrown away.</summary>
    public void Add(long bytes) => Interlocked.Add(ref _done, bytes);

    public void AddChecked(long bytes) => Interlocked.Add(ref _checked, bytes);
}
